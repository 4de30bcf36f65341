#pragma once

// The ranks and devices that cases about many ranks run on. test_dist keeps tensors on the CPU; its
// ranks are threads, or the processes that mpirun started. test_dist_cuda keeps them on emulated
// GPUs, whose streams run beside each other; its ranks are threads that speak by the library in
// NCCL's place.

#include <functional>
#include <memory>
#include <string>

#include "dist/collectives.h"

namespace vila::dist {

// Where tensors are.
std::unique_ptr<Device> job_device();
bool job_is_on_gpus();

// The ranks that this test program was started with: one, or those of mpirun.
Collectives& process_job();

// Ranks as threads.
void run_job(int64_t ranks, const std::function<void(Collectives&)>& body);

// Runs a case on this process's job and, where that is one rank, on threads: `ranks` of them.
void on_every_implementation(const std::function<void(Collectives&)>& body,
                             std::initializer_list<int64_t> ranks = {1, 2, 3, 5, 8, 16});

// A library in the place of NCCL, tests/dist/fake_nccl.cpp.
std::string fake_nccl();

}  // namespace vila::dist
