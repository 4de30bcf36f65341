// The kernels for the tests of cuda/ptx.h, compiled as C++.

#include "tests/cuda/ptx_kernel.cu"
