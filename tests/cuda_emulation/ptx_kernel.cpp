// The kernel for the tests of cuda/ptx.h, as C++.

#include "tests/cuda_ptx_kernel.cu"
