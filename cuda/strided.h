#pragma once

// StridedPlan: the axes of a shape with the strides of each strided or broadcast operand, to pass
// to a kernel. Adjacent axes that one stride per operand can walk are merged.

#include <array>

#include "cuda/runtime.h"
#include "tensor/shape.h"

namespace vila::cuda {

template <int kOperands>
struct StridedPlan {
    int rank = 0;  // merged axes, innermost first; at least one
    int64_t extent[Shape::kMaxRank] = {};
    int64_t stride[Shape::kMaxRank][kOperands] = {};  // 0 where broadcast

    // The offset in operand `operand` of element `index` in row-major order.
    __device__ int64_t offset(int64_t index, int operand) const {
        int64_t at = 0;
        for (int axis = 0; axis + 1 < rank; ++axis) {
            at += index % extent[axis] * stride[axis][operand];
            index /= extent[axis];
        }
        return at + index * stride[rank - 1][operand];
    }
};

// `strides[k]` has one entry per axis of `shape`.
template <int kOperands>
StridedPlan<kOperands> plan_strided(const Shape& shape,
                                    const std::array<Shape, kOperands>& strides) {
    StridedPlan<kOperands> plan;
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
        if (shape[axis] == 1) continue;
        bool merges = plan.rank > 0;
        for (int k = 0; k < kOperands && merges; ++k)
            merges = strides[k][axis] == plan.stride[plan.rank - 1][k] * plan.extent[plan.rank - 1];
        if (merges) {
            plan.extent[plan.rank - 1] *= shape[axis];
            continue;
        }
        plan.extent[plan.rank] = shape[axis];
        for (int k = 0; k < kOperands; ++k) plan.stride[plan.rank][k] = strides[k][axis];
        ++plan.rank;
    }
    if (plan.rank == 0) plan.extent[plan.rank++] = 1;
    return plan;
}

// The strides that broadcast a contiguous tensor of shape `own` to shape `full`.
inline Shape broadcast_strides(const Shape& own, const Shape& full) {
    Shape strides = full;
    int64_t running = 1;
    for (int back = 1; back <= full.rank(); ++back) {
        const int64_t extent = back <= own.rank() ? own[-back] : 1;
        strides[-back] = extent == 1 ? 0 : running;
        running *= extent;
    }
    return strides;
}

}  // namespace vila::cuda
