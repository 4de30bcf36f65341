#pragma once

// Ranks whose GPUs speak to each other by NCCL, which is opened when it is asked for: a program
// built without it runs, and one that needs it says what is missing.

#include <memory>
#include <string>

#include "dist/collectives.h"
#include "tensor/device.h"

namespace vila::dist {

// The ranks of `bootstrap` (MPI), which tells all of them NCCL's id and moves what is in the host's
// memory; it must outlive what is returned. Tensors of a GPU go from GPU to GPU, on `stream` (a
// cudaStream_t) of `device`: this rank's GPU once more, opened for this purpose alone. Throws on
// all ranks when the library is missing somewhere, lacks a function, is too old, or cannot connect.
std::unique_ptr<Collectives> nccl_ranks(Collectives& bootstrap, std::unique_ptr<Device> device,
                                        void* stream, const std::string& library);

}  // namespace vila::dist
