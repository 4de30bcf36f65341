// The kernel for the tests of cuda/ptx.h, as C++.

#include "tests/cuda/ptx_kernel.cu"
