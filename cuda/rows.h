#pragma once

// for_rows: one warp per row, for operators that reduce rows of a few thousand elements. Lane l
// takes columns l, l + 32, ...; lanes are summed in a fixed order, and no barrier is needed. An
// operator is a struct with `__device__ void operator()(int64_t row, int lane) const`.

#include "cuda/launch.h"
#include "cuda/number.h"

namespace vila::cuda {

// The sum of the values of a warp's lanes; every lane gets it.
template <typename Compute>
__device__ inline Compute warp_sum(Compute value) {
    for (int distance = kWarp / 2; distance > 0; distance /= 2)
        value += __shfl_xor_sync(kAllLanes, value, distance);
    return value;
}

// The maximum of the values of a warp's lanes; every lane gets it.
template <typename Compute>
__device__ inline Compute warp_max(Compute value) {
    for (int distance = kWarp / 2; distance > 0; distance /= 2) {
        const Compute other = __shfl_xor_sync(kAllLanes, value, distance);
        value = other > value ? other : value;
    }
    return value;
}

// The sum of term(c) over the columns of a row. All lanes of a warp take part; every lane gets it.
template <typename Compute, typename Term>
__device__ inline Compute row_sum(int64_t columns, int lane, const Term& term) {
    Compute sum = 0;
    for (int64_t c = lane; c < columns; c += kWarp) sum += term(c);
    return warp_sum(sum);
}

// Rows, and so warps, per block. More would gain nothing: a block ends only with its slowest warp.
constexpr int64_t kRowsPerBlock = 4;

template <typename Op>
__global__ void rows_kernel(int64_t rows, Op op) {
    const int64_t row = static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
    if (row < rows) op(row, static_cast<int>(threadIdx.x));
}

template <typename Op>
void for_rows(CudaDevice& device, int64_t rows, const Op& op) {
    launch(device, rows_kernel<Op>, {ceil_div(rows, kRowsPerBlock)}, {kWarp, kRowsPerBlock}, 0,
           rows, op);
}

}  // namespace vila::cuda
