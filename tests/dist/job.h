#pragma once

// Creates the ranks and devices for tests of many ranks. In test_dist, tensors are on the CPU, and
// ranks are threads or the processes that mpirun started. In test_dist_cuda, tensors are on
// emulated GPUs with concurrent streams, and ranks are threads connected by a fake NCCL library.

#include <functional>
#include <memory>
#include <string>

#include "dist/collectives.h"

namespace vila::dist {

// Returns a new device for the tensors of a rank.
std::unique_ptr<Device> job_device();
bool job_is_on_gpus();

// Returns the ranks of this test program: one, or those that mpirun started.
Collectives& process_job();

// Runs `body` on `ranks` ranks that are threads.
void run_job(int64_t ranks, const std::function<void(Collectives&)>& body);

// Runs a case on the ranks of process_job(). If there is only one, also runs it on threads, with
// each of these numbers of ranks.
void on_every_implementation(const std::function<void(Collectives&)>& body,
                             std::initializer_list<int64_t> ranks = {1, 2, 3, 5, 8, 16});

// Returns the file name of a library that replaces NCCL: tests/dist/fake_nccl.cpp.
std::string fake_nccl();

}  // namespace vila::dist
