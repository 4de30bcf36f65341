#pragma once

// cuBLASLt of the emulated machine, as tests set it up and look at it: the product of the CPU
// behind the library's entry points, stricter than the library about how they are called.

#include <cstdint>

namespace vila::emulation {

struct Blas {
    bool installed = true;
    bool has_algorithms = true;  // for any product

    // What happened so far.
    int64_t choices = 0;   // times an algorithm was chosen
    int64_t products = 0;  // computed
    int64_t tf32_products = 0;
    int64_t added = 0, gelus = 0;  // products with another matrix than d added; with GELU
};

// That of this OS thread.
Blas& blas();

}  // namespace vila::emulation
