#pragma once

// Lets tests configure the emulated machine: the properties of its GPU, and failures.

#include <cstdint>

#include "tests/cuda/emulation/launch.h"
#include "tests/cuda/emulation/memory.h"

namespace vila::emulation {

struct Machine {
    cudaError_t count_result = cudaSuccess;  // the result of cudaGetDeviceCount
    int devices = 1;
    int driver_version = 13000, runtime_version = 13000;
    int major = 9, minor = 0;
    bool has_kernel_image = true;  // whether the binary holds code for this GPU
    int64_t memory_bytes = int64_t{8} << 30;
    bool asynchronous = false;  // whether streams run concurrently; see stream.h

    // Counters of the calls so far.
    int64_t used_bytes = 0;     // of device memory in use
    int64_t allocations = 0;    // of device memory and of pinned host memory
    int64_t pinned_blocks = 0;  // pinned blocks of the host in use
    int64_t graph_launches = 0;
    int64_t bytes_to_host = 0;
    int64_t launches = 0;
    bool guards_damaged = false;  // whether a guard of freed memory was overwritten
};

// Returns the machine of this OS thread. VILA_EMULATED_GPUS=N gives it N GPUs,
// VILA_EMULATED_STREAMS=1 makes it asynchronous.
Machine& machine();

// Returns whether anything wrote just before or after a block of device memory, live or freed.
bool device_memory_damaged();

// Sets the order in which launches of the stream run their threads. In random order each warp runs
// as far as it can before the next one.
void set_thread_order(cudaStream_t stream, ThreadOrder order, uint64_t seed = 1);
ThreadOrder thread_order(cudaStream_t stream);
// Returns a new seed for each launch of a stream in random order.
uint64_t next_seed(cudaStream_t stream);

}  // namespace vila::emulation
