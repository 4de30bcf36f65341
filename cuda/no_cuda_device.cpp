// Replaces cuda_device.cpp in a build without the CUDA toolkit: opening a GPU throws Error.

#include "cuda/cuda_device.h"
#include "tensor/check.h"

namespace vila {

std::unique_ptr<Device> make_cuda_device(int index) {
    throw Error(str("--device cuda:", index, ": this build has no CUDA; use --device cpu"));
}

CUstream_st* cuda_stream(const Device& gpu) {
    throw Error(str(gpu.name(), ": this build has no CUDA"));
}

}  // namespace vila
