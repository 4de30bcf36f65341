#pragma once

// Ranks whose GPUs speak to each other by NCCL, which is opened when it is asked for: a program
// built without it runs, and one that needs it says what is missing.

#include <memory>
#include <string>

#include "dist/collectives.h"
#include "tensor/device.h"

namespace vila::dist {

constexpr const char* kNcclLibrary = "libnccl.so.2";

// The ranks of `bootstrap` (MPI), which tells all of them NCCL's id and takes barriers on; it must
// outlive what is returned. `device` is this rank's GPU, opened for this purpose alone: blocks go
// through its memory, on `stream` (a cudaStream_t). Throws on all ranks when the library is missing
// somewhere, lacks a function, is too old, or cannot connect.
std::unique_ptr<Collectives> nccl_ranks(Collectives& bootstrap, std::unique_ptr<Device> device,
                                        void* stream, const std::string& library = kNcclLibrary);

}  // namespace vila::dist
