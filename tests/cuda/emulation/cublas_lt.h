#pragma once

// The cuBLASLt of the emulated machine, as tests configure and inspect it: the product of the CPU
// under the library's entry points, which check their arguments more strictly than the library.

#include <cstdint>

namespace vila::emulation {

struct Blas {
    bool installed = true;
    bool has_algorithms = true;  // whether the heuristic finds an algorithm for any product

    // Counters of the calls so far.
    int64_t heuristics = 0;  // algorithms that the heuristic returned
    int64_t products = 0;    // products computed
    int64_t tf32_products = 0;
    int64_t residuals = 0;  // products that added another matrix than d
    int64_t gelus = 0;      // products with a GELU epilogue
};

// The library of this OS thread.
Blas& blas();

}  // namespace vila::emulation
