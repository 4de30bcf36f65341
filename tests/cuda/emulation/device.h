#pragma once

// The emulated machine, as tests set it up: which GPU it says it has, and what fails.

#include <cstdint>

#include "tests/cuda/emulation/launch.h"
#include "tests/cuda/emulation/memory.h"

namespace vila::emulation {

struct Machine {
    cudaError_t count_result = cudaSuccess;  // what asking for the number of GPUs gives
    int devices = 1;
    int driver_version = 13000, runtime_version = 13000;
    int major = 9, minor = 0;
    bool has_kernel_image = true;  // whether the binary holds code for this GPU
    int64_t memory_bytes = int64_t{8} << 30;
    bool asynchronous = false;  // whether streams run beside the host and each other; see stream.h

    // What happened so far.
    int64_t used_bytes = 0;     // in device memory
    int64_t allocations = 0;    // calls that gave memory of the device, or of the host to copy from
    int64_t pinned_blocks = 0;  // of the host
    int64_t graph_launches = 0;
    int64_t bytes_to_host = 0;
    int64_t launches = 0;
    bool guards_damaged = false;  // of memory that was freed
};

// The machine of this OS thread. VILA_EMULATED_GPUS=N gives it more GPUs, VILA_EMULATED_STREAMS=1
// makes it asynchronous.
Machine& machine();

// Whether something wrote before or behind a block of device memory, freed or alive.
bool device_memory_damaged();

// In which order the launches of a stream run their threads; at random, warp by warp, each as far
// as it can before the next one.
void set_thread_order(cudaStream_t stream, ThreadOrder order, uint64_t seed = 1);
ThreadOrder thread_order(cudaStream_t stream);
// A new number for each launch of a stream that runs in random order.
uint64_t next_seed(cudaStream_t stream);

}  // namespace vila::emulation
