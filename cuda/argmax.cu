// argmax: the column of the largest number of each row, so that the host copies one id instead of a
// row of logits.
//
// Mapping   a block owns a row; thread t takes columns t, t + 512, ...
// Shared    the largest number and its column for each of the 16 warps

#include "cuda/kernels.h"
#include "cuda/launch.h"
#include "cuda/number.h"
#include "cuda/shared.h"

namespace vila::cuda {

namespace {

// A row is as long as the vocabulary: many threads keep many loads in flight.
constexpr int kArgmaxThreads = 512;
constexpr int kArgmaxWarps = kArgmaxThreads / kWarp;

// The largest number so far and its column. The column is larger than any real one at first.
template <typename Compute>
struct Best {
    Compute value;
    int column;

    // Keeps the larger number, and the lower column of equal ones: the result does not depend on
    // the order of the calls.
    __device__ void update(Compute other, int other_column) {
        if (other > value || (other == value && other_column < column)) {
            value = other;
            column = other_column;
        }
    }
    __device__ void reduce_warp() {
        for (int distance = kWarp / 2; distance > 0; distance /= 2) {
            const Compute other = __shfl_xor_sync(kAllLanes, value, distance);
            const int other_column = __shfl_xor_sync(kAllLanes, column, distance);
            update(other, other_column);
        }
    }
};

template <typename T>
__global__ void argmax_kernel(const T* x, int64_t columns, int32_t* index) {
    using Compute = compute_t<T>;
    auto* warps = shared_array<Best<Compute>>();
    const T* x_r = x + static_cast<int64_t>(blockIdx.x) * columns;
    const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarp, warp = thread / kWarp;
    const Best<Compute> nothing = {-static_cast<Compute>(INFINITY), 0x7fffffff};
    Best<Compute> best = nothing;
    for (int64_t c = thread; c < columns; c += kArgmaxThreads) {
        const Compute value = widen(x_r[c]);
        if (value > best.value) best = {value, static_cast<int>(c)};
    }
    best.reduce_warp();
    if (lane == 0) warps[warp] = best;
    __syncthreads();  // the results of all warps are stored
    if (warp > 0) return;
    best = lane < kArgmaxWarps ? warps[lane] : nothing;
    best.reduce_warp();
    if (lane == 0) index[blockIdx.x] = best.column < columns ? best.column : -1;
}

}  // namespace

void argmax(const ArgmaxArgs& args) {
    for_float("argmax", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        launch(device_of(args.x), argmax_kernel<T>, {args.x.size(0)}, {kArgmaxThreads},
               kArgmaxWarps * sizeof(Best<compute_t<T>>), args.x.data<T>(), args.x.size(1),
               args.index.data<int32_t>());
    });
}

}  // namespace vila::cuda
