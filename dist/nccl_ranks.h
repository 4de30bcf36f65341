#pragma once

// Ranks whose GPUs communicate by NCCL. The library is loaded at run time, so that the program also
// runs on machines without it.

#include <memory>
#include <string>

#include "dist/collectives.h"
#include "tensor/device.h"

namespace vila::dist {

// Connects the GPUs of the ranks of `bootstrap` (MPI, or threads in tests). `bootstrap` distributes
// NCCL's unique id and moves data in host memory; it must outlive the result. `device` is a second
// Device for this rank's GPU, used only for transfers, and `stream` is its cudaStream_t, on which
// GPU tensors move from GPU to GPU. `library` is the file name of NCCL. Throws on all ranks if the
// library cannot be loaded on some rank, is too old, or cannot connect the GPUs.
std::unique_ptr<Collectives> nccl_ranks(Collectives& bootstrap, std::unique_ptr<Device> device,
                                        void* stream, const std::string& library);

}  // namespace vila::dist
