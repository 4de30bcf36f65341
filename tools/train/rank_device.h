#pragma once

// The device of each rank of a training job: which GPU or CPU cores of its machine a rank uses, and
// how its GPU exchanges data with those of the other ranks.

#include <memory>

#include "dist/collectives.h"
#include "tools/base/args.h"

namespace vila::tools {

// Divides the GPUs of a machine among its ranks, one for each, and its cores unless the launcher
// has bound the ranks to cores. Reads only the launcher's environment, so it can be called before
// MPI starts.
CommonOptions as_local_rank(CommonOptions common);

// Makes this rank's device. Throws if this machine has fewer GPUs than ranks.
std::unique_ptr<Device> make_rank_device(const CommonOptions& common);

// Returns collectives over the ranks of `bootstrap` for tensors on `device`: NCCL (library
// VILA_NCCL) for several GPUs, or nullptr if `bootstrap` is enough. All ranks call it together;
// errors are thrown on all of them. `bootstrap` and `device` must outlive the result.
std::unique_ptr<dist::Collectives> connect_devices(dist::Collectives& bootstrap,
                                                   const CommonOptions& common,
                                                   const Device& device);

}  // namespace vila::tools
