#pragma once

// y[index[r]] += x[r] for rows r, where an index may occur many times. One warp (or one per piece
// of a wide row) handles each r. If r is the first row with its index, the warp adds all rows with
// that index, in order; else it does nothing. So there are no atomics, and the bits are the same
// every time.

#include "cuda/row_exists.h"
#include "cuda/rows.h"

namespace vila::cuda {

// Columns per warp; wider rows are cut into pieces, to use more warps.
constexpr int64_t kRowSumColumns = 256;

template <typename T>
struct AddRowsAt {
    using Compute = compute_t<T>;
    const T* x;
    const int32_t* index;
    Compute* y;
    int64_t count, columns;  // of x
    int64_t rows;            // of y
    int64_t pieces;          // of a row
    int32_t lowest;          // the lowest valid index: 0, or -1 if rows with index -1 are skipped
    FaultKind kind;
    Faults* faults;

    // Bit i is set if row begin + i has the index `wanted`.
    __device__ unsigned int matches(int64_t begin, int lane, int32_t wanted) const {
        const int64_t r = begin + lane;
        return __ballot_sync(kAllLanes, r < count && index[r] == wanted ? 1 : 0);
    }

    __device__ void operator()(int64_t item, int lane) const {
        const int64_t r = item / pieces;
        const int32_t target = index[r];
        if (!row_exists(faults, kind, r, target, lowest, rows) || target < 0) return;
        for (int64_t begin = 0; begin < r; begin += kWarp) {
            unsigned int before = matches(begin, lane, target);
            if (r - begin < kWarp) before &= (1U << (r - begin)) - 1;
            if (before != 0) return;
        }
        const int64_t first = item % pieces * kRowSumColumns;
        const int64_t last = first + kRowSumColumns < columns ? first + kRowSumColumns : columns;
        for (int64_t begin = r; begin < count; begin += kWarp)
            for (unsigned int left = matches(begin, lane, target); left != 0; left &= left - 1) {
                const T* x_row = x + (begin + __ffs(static_cast<int>(left)) - 1) * columns;
                for (int64_t c = first + lane; c < last; c += kWarp)
                    y[target * columns + c] += widen(x_row[c]);
            }
    }
};

// x (R, C) float, index (R) i32, y (M, C) f32 (f64 for f64). Indices outside [lowest, M) are faults
// of this kind (fault.h).
template <typename T>
void add_rows_at(const Tensor& x, const Tensor& index, const Tensor& y, int32_t lowest,
                 FaultKind kind) {
    CudaDevice& device = device_of(y);
    const int64_t count = index.numel(), columns = y.size(1);
    const int64_t pieces = ceil_div(columns, kRowSumColumns);
    for_rows(device, count * pieces,
             AddRowsAt<T>{x.data<T>(), index.data<int32_t>(), y.data<compute_t<T>>(), count,
                          columns, y.size(0), pieces, lowest, kind, device.faults()});
}

}  // namespace vila::cuda
