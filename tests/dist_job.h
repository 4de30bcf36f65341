#pragma once

// The ranks that this test program was started with: one, or those of mpirun.

#include <functional>
#include <string>

#include "dist/collectives.h"

namespace vila::dist {

Collectives& process_job();

// A library in the place of NCCL, tests/fake_nccl.cpp.
std::string fake_nccl();

// Runs a case on this process's job, and on NCCL with that job behind it; where the job is one
// rank, also on threads, `ranks` of them.
void on_every_implementation(const std::function<void(Collectives&)>& body,
                             std::initializer_list<int64_t> ranks = {1, 2, 3, 5, 8, 16});

}  // namespace vila::dist
