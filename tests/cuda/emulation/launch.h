#pragma once

// CUDA's built-in variables and kernel launches, emulated; included by cuda_runtime.h.

#include <cstdint>
#include <functional>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include "tests/cuda/emulation/graph.h"
#include "tests/cuda/emulation/memory.h"
#include "tests/cuda/emulation/stream.h"

struct uint3 {
    unsigned int x = 0, y = 0, z = 0;
};

struct dim3 {
    unsigned int x, y, z;
    constexpr dim3(unsigned int x_extent = 1, unsigned int y_extent = 1, unsigned int z_extent = 1)
        : x(x_extent), y(y_extent), z(z_extent) {}
};

struct cudaLaunchAttribute;

struct cudaLaunchConfig_t {
    dim3 gridDim, blockDim;
    size_t dynamicSmemBytes = 0;
    cudaStream_t stream = nullptr;
    cudaLaunchAttribute* attrs = nullptr;
    unsigned int numAttrs = 0;
};

namespace vila::emulation {

// The operation at which a thread waits.
enum class Wait { Nothing, Barrier, Shuffle, Ballot, SyncWarp, WarpOperation, End };

// One thread of the running block.
struct ThreadState {
    uint3 index;
    size_t number = 0;  // in its block
    int lane = 0;

    Wait wait = Wait::Nothing;
    const char* file = "";  // the source position of the wait
    int line = 0;
    unsigned int mask = 0;  // lanes of its warp operation
    int source = 0;         // the lane a shuffle reads
    uint64_t value = 0;     // the argument of a warp operation, then its result

    // An operation of all lanes of the warp, which runs once they all wait at it, and the arguments
    // of this lane.
    void (*operation)(void* const* lanes) = nullptr;
    void* arguments = nullptr;

    // The asynchronous copies of 16 bytes in flight, oldest first (zeros where `from` is null), and
    // the number of copies up to the end of each committed group.
    struct AsyncCopy {
        void* to;
        const void* from;
    };
    std::vector<AsyncCopy> copies;
    std::vector<size_t> copy_groups;
};

// Reports that the running kernel breaks a rule of CUDA. The launch throws the first report.
void report_violation(const std::string& what);

// The running thread; visible everywhere, like CUDA's built-in variables below.
inline thread_local constinit ThreadState* running_thread = nullptr;

// The order in which the threads of a block, and the blocks of a grid, run. A kernel
// without races computes the same bits in all of these orders.
enum class ThreadOrder { Forward, Reversed, Random };

// The maximum of dynamic shared memory per block: 227 KiB, as on compute capability 9.0.
constexpr size_t kMaxSharedBytes = 232448;

// Runs `body` once per thread of the grid. Throws Error when the kernel breaks a rule.
void run_grid(const cudaLaunchConfig_t& config, const std::function<void()>& body);

}  // namespace vila::emulation

// CUDA's built-in variables, which the scheduler sets for the running thread.
inline thread_local constinit uint3 threadIdx = {}, blockIdx = {};
inline thread_local constinit dim3 blockDim = {}, gridDim = {};

template <typename... Parameters, typename... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
    if (!vila::emulation::is_asynchronous(config->stream) &&
        !vila::emulation::is_captured(config->stream)) {
        vila::emulation::run_grid(*config, [&] { kernel(arguments...); });
        return cudaSuccess;
    }
    vila::emulation::in_stream(
        config->stream,
        [config = *config, kernel, values = std::tuple<std::decay_t<Parameters>...>(arguments...)] {
            vila::emulation::run_grid(config, [&] { std::apply(kernel, values); });
        });
    return cudaSuccess;
}
