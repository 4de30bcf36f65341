#pragma once

// CUDA's runtime library, with its errors as exceptions.

#include <cuda_runtime.h>

#include "tensor/check.h"

// Evaluates a runtime call. Throws Error with the text of the call, its file and line, and CUDA's
// name and description of the error.
#define VILA_CUDA_CHECK(call)                                                             \
    do {                                                                                  \
        const cudaError_t vila_cuda_error = (call);                                       \
        if (vila_cuda_error != cudaSuccess)                                               \
            throw ::vila::Error(::vila::str(#call, " at ", __FILE__, ":", __LINE__, ": ", \
                                            cudaGetErrorName(vila_cuda_error), ": ",      \
                                            cudaGetErrorString(vila_cuda_error)));        \
    } while (false)
