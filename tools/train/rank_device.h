#pragma once

// Where a rank of a training job computes: which part of its machine is its own, and how its GPU
// speaks to those of the other ranks.

#include <memory>

#include "dist/collectives.h"
#include "tools/base/args.h"

namespace vila::tools {

// What the ranks of one machine divide: its GPUs, one each, and its cores where they were not given
// cores of their own. Asks the launcher's environment only, so that it can come before MPI.
CommonOptions as_local_rank(CommonOptions common);

// This rank's device. Throws when there are fewer GPUs than ranks on this machine.
std::unique_ptr<Device> make_rank_device(const CommonOptions& common);

// The ranks of `bootstrap`, whose tensors are on `device` from now on: by NCCL (VILA_NCCL) for
// several GPUs; nullptr where `bootstrap` is enough. All ranks call it together, and what it throws
// it throws on all. Both arguments must outlive what is returned.
std::unique_ptr<dist::Collectives> connect_devices(dist::Collectives& bootstrap,
                                                   const CommonOptions& common,
                                                   const Device& device);

}  // namespace vila::tools
