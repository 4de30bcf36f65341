// The emulation itself: its guarantees, and that it detects each kind of mistake that it is for.

#include <gtest/gtest.h>

#include <functional>
#include <numeric>
#include <vector>

#include "cuda/launch.h"
#include "cuda/ptx.h"
#include "cuda/rows.h"
#include "cuda/shared.h"
#include "tests/support/driver.h"

namespace vila::testing {

namespace {

using cuda::Extent;
using emulation::ThreadOrder;

struct Numbers {
    int of_thread[64];
};

// Each thread passes its number to its neighbor through shared memory.
__global__ void pass_on_kernel(int* y, bool with_barrier) {
    Numbers& shared = cuda::shared_memory<Numbers>();
    const int t = static_cast<int>(threadIdx.x);
    shared.of_thread[t] = t;
    if (with_barrier) __syncthreads();
    y[blockIdx.x * 64 + threadIdx.x] = shared.of_thread[(t + 1) % 64];
}

__global__ void half_at_barrier_kernel() {
    if (threadIdx.x < 32) __syncthreads();
}

__global__ void two_barriers_kernel() {
    if (threadIdx.x < 32) {
        __syncthreads();
    } else {
        __syncthreads();
    }
}

__global__ void lane_missing_kernel(int* y) {
    if (threadIdx.x == 5) return;
    y[threadIdx.x] = __shfl_xor_sync(cuda::kAllLanes, 1, 1);
}

__global__ void lane_outside_mask_kernel(int* y) {
    if (threadIdx.x < 16) y[threadIdx.x] = __shfl_sync(0xffffU, 1, 20);
}

__global__ void beyond_shared_kernel() {
    cuda::shared_array<int>()[16] = 1;
}

__global__ void warp_kernel(int* sums, unsigned int* votes) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    sums[threadIdx.x] = cuda::warp_sum(lane);
    votes[threadIdx.x] = __ballot_sync(cuda::kAllLanes, lane % 3 == 0 ? 1 : 0);
}

// Copies 16 bytes to shared memory and stores the first number to y, with or without waiting for
// the copy.
__global__ void copy_kernel(const float* x, float* y, int64_t offset, bool waits, bool ends_early) {
    float* shared = cuda::shared_array<float>();
    cuda::ptx::cp_async(shared, reinterpret_cast<const char*>(x) + offset, true);
    cuda::ptx::cp_async_commit_group();
    if (waits) cuda::ptx::cp_async_wait_group<0>();
    *y = shared[0];
    if (!ends_early) cuda::ptx::cp_async_wait_group<0>();
}

__global__ void load_outside_shared_kernel(const float* x) {
    uint32_t registers[4];
    cuda::ptx::ldmatrix(registers, x);
}

__global__ void count_kernel(int* count, int* last) {
    atomicAdd(count, 1);
    *last = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
}

template <typename Kernel, typename... Arguments>
void start(Kernel kernel, unsigned int blocks, unsigned int threads, size_t shared,
           ThreadOrder order, Arguments... arguments) {
    cudaStream_t stream = nullptr;
    cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    const std::unique_ptr<CUstream_st, decltype(&cudaStreamDestroy)> owner(stream,
                                                                           cudaStreamDestroy);
    emulation::set_thread_order(stream, order);
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(blocks);
    config.blockDim = dim3(threads);
    config.dynamicSmemBytes = shared;
    config.stream = stream;
    cudaLaunchKernelEx(&config, kernel, arguments...);
}

constexpr ThreadOrder kOrders[] = {ThreadOrder::Forward, ThreadOrder::Reversed,
                                   ThreadOrder::Random};

}  // namespace

TEST(CudaEmulation, BarriersOrderSharedMemory) {
    for (const ThreadOrder order : kOrders) {
        std::vector<int> y(128);
        start(pass_on_kernel, 2, 64, sizeof(Numbers), order, y.data(), true);
        for (int i = 0; i < 128; ++i) EXPECT_EQ(y[i], (i + 1) % 64);
    }
}

TEST(CudaEmulation, AMissingBarrierChangesTheBitsInAnotherOrder) {
    std::vector<int> forward(64), reversed(64);
    start(pass_on_kernel, 1, 64, sizeof(Numbers), ThreadOrder::Forward, forward.data(), false);
    start(pass_on_kernel, 1, 64, sizeof(Numbers), ThreadOrder::Reversed, reversed.data(), false);
    EXPECT_NE(forward, reversed);
    EXPECT_EQ(forward[0], -1);  // poisoned: no thread had written it yet
}

TEST(CudaEmulation, NamesThreadsAtDifferentBarriers) {
    for (const ThreadOrder order : kOrders) {
        EXPECT_EQ(expect_error("is stuck: thread 0,0 waits at __syncthreads",
                               [&] { start(half_at_barrier_kernel, 1, 64, 0, order); }),
                  "");
        EXPECT_EQ(expect_error("thread 32,0 has ended",
                               [&] { start(half_at_barrier_kernel, 1, 64, 0, order); }),
                  "");
        EXPECT_EQ(expect_error("thread 32,0 waits at __syncthreads",
                               [&] { start(two_barriers_kernel, 1, 64, 0, order); }),
                  "");
    }
}

TEST(CudaEmulation, ServesWarpOperations) {
    for (const ThreadOrder order : kOrders) {
        std::vector<int> sums(96);
        std::vector<unsigned int> votes(96);
        start(warp_kernel, 1, 96, 0, order, sums.data(), votes.data());
        EXPECT_EQ(sums, std::vector<int>(96, 31 * 32 / 2));
        EXPECT_EQ(votes, std::vector<unsigned int>(96, 0x49249249U));
    }
}

TEST(CudaEmulation, NamesMissingLanes) {
    std::vector<int> y(32);
    EXPECT_EQ(
        expect_error("for lane 5, which has ended",
                     [&] { start(lane_missing_kernel, 1, 32, 0, ThreadOrder::Forward, y.data()); }),
        "");
    EXPECT_EQ(
        expect_error(
            "reads lane 20, which is not in the mask",
            [&] { start(lane_outside_mask_kernel, 1, 32, 0, ThreadOrder::Reversed, y.data()); }),
        "");
}

TEST(CudaEmulation, GuardsSharedMemory) {
    EXPECT_EQ(expect_error("wrote past the 64 bytes of shared memory",
                           [] { start(beyond_shared_kernel, 1, 1, 64, ThreadOrder::Forward); }),
              "");
    start(beyond_shared_kernel, 1, 1, 68, ThreadOrder::Forward);
}

TEST(CudaEmulation, CopiesOnlyWhenWaitedFor) {
    alignas(16) const float x[4] = {5.0F, 0.0F, 0.0F, 0.0F};
    float y = 0.0F;
    const auto copy = [&](int64_t offset, bool waits, bool ends_early) {
        start(copy_kernel, 1, 1, 16, ThreadOrder::Forward, x, &y, offset, waits, ends_early);
    };
    copy(0, true, false);
    EXPECT_EQ(y, 5.0F);
    copy(0, false, false);
    EXPECT_TRUE(std::isnan(y));
    EXPECT_EQ(expect_error("ends before its asynchronous copies", [&] { copy(0, false, true); }),
              "");
    EXPECT_EQ(expect_error("is not a multiple of 16", [&] { copy(4, true, false); }), "");
}

TEST(CudaEmulation, LoadsMatricesOnlyFromSharedMemory) {
    alignas(16) const float x[32] = {};
    EXPECT_EQ(expect_error("ldmatrix outside shared memory",
                           [&] {
                               start(load_outside_shared_kernel, 1, 32, 0, ThreadOrder::Forward,
                                     static_cast<const float*>(x));
                           }),
              "");
}

TEST(CudaEmulation, RunsEveryThreadOnceInAnyOrder) {
    int count = 0, last = 0;
    start(count_kernel, 3, 40, 0, ThreadOrder::Forward, &count, &last);
    EXPECT_EQ(count, 120);
    EXPECT_EQ(last, 119);
    start(count_kernel, 3, 40, 0, ThreadOrder::Reversed, &count, &last);
    EXPECT_EQ(count, 240);
    EXPECT_EQ(last, 0);
    start(count_kernel, 3, 40, 0, ThreadOrder::Random, &count, &last);
    EXPECT_EQ(count, 360);
}

TEST(CudaEmulation, GuardsAndPoisonsDeviceMemory) {
    void* memory = nullptr;
    ASSERT_EQ(cudaMalloc(&memory, 12), cudaSuccess);
    EXPECT_TRUE(std::isnan(static_cast<float*>(memory)[2]));
    EXPECT_FALSE(emulation::device_memory_damaged());
    char* const behind = static_cast<char*>(memory) + 12;
    const char sentinel = *behind;
    *behind = 0;
    EXPECT_TRUE(emulation::device_memory_damaged());
    *behind = sentinel;
    EXPECT_FALSE(emulation::device_memory_damaged());
    cudaFree(memory);
}

}  // namespace vila::testing
