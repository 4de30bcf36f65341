#pragma once

// Batches for a library that takes one batch axis per call: merges the axes of a batch where their
// strides allow it, and splits the rest into problems of one axis.

#include "cuda/gemm.h"

namespace vila::cuda {

// The same batch with fewer axes: axes of extent 1 are dropped, and two axes that one pair of
// strides can walk become one.
inline BatchAxes merge_axes(const BatchAxes& batch) {
    BatchAxes result;
    for (int axis = 0; axis < batch.rank; ++axis) {
        if (batch.extent[axis] == 1) continue;
        const int last = result.rank - 1;
        const auto follows = [&](const int64_t* merged_strides, const int64_t* strides) {
            return strides[axis] == merged_strides[last] * result.extent[last];
        };
        if (last >= 0 && follows(result.a, batch.a) && follows(result.b, batch.b) &&
            follows(result.c, batch.c)) {
            result.extent[last] *= batch.extent[axis];
            continue;
        }
        const int at = result.rank++;
        result.extent[at] = batch.extent[axis];
        result.a[at] = batch.a[axis];
        result.b[at] = batch.b[axis];
        result.c[at] = batch.c[axis];
    }
    return result;
}

// Problem number `index` along the batch axes outside the innermost one, which it keeps.
inline BatchedGemm outer_problem(const BatchedGemm& problem, const BatchAxes& batch,
                                 int64_t index) {
    int64_t a = 0, b = 0, c = 0;
    for (int axis = 1; axis < batch.rank; ++axis) {
        const int64_t i = index % batch.extent[axis];
        index /= batch.extent[axis];
        a += i * batch.a[axis];
        b += i * batch.b[axis];
        c += i * batch.c[axis];
    }
    BatchedGemm one = problem;
    one.a.data = static_cast<const char*>(one.a.data) + a * dtype_size(one.a.dtype);
    one.b.data = static_cast<const char*>(one.b.data) + b * dtype_size(one.b.dtype);
    one.c = static_cast<char*>(one.c) + c * dtype_size(one.c_dtype);
    one.batch = {};
    one.batch.rank = 1;
    one.batch.extent[0] = batch.rank == 0 ? 1 : batch.extent[0];
    one.batch.a[0] = batch.a[0];
    one.batch.b[0] = batch.b[0];
    one.batch.c[0] = batch.c[0];
    return one;
}

}  // namespace vila::cuda
