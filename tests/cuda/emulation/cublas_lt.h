#pragma once

// Lets tests configure and inspect the emulated cuBLASLt, which computes products on the CPU and
// checks arguments more strictly than the library.

#include <cstdint>

namespace vila::emulation {

struct Blas {
    bool installed = true;
    bool has_algorithms = true;  // whether the heuristic finds an algorithm for any product

    // Counters of the calls so far.
    int64_t heuristics = 0;  // algorithms that the heuristic returned
    int64_t products = 0;    // products computed
    int64_t tf32_products = 0;
    int64_t residuals = 0;  // products that added a matrix other than d
    int64_t gelus = 0;      // products with a GELU epilogue
};

// Returns the library of this OS thread.
Blas& blas();

}  // namespace vila::emulation
