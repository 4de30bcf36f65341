#pragma once

// Broadcasting as loops: the axes of a result and the strides of the operands along them, with
// neighboring axes merged where possible. For contiguous operands the strides of the innermost axis
// are 0 or 1.

#include <array>

#include "tensor/tensor.h"

namespace vila::cpu_kernels {

template <int kOperands>
struct BroadcastPlan {
    int rank = 0;  // merged axes, innermost first; at least one
    std::array<int64_t, Shape::kMaxRank> extent{};
    std::array<std::array<int64_t, kOperands>, Shape::kMaxRank> stride{};  // 0: repeats

    int64_t inner() const { return extent[0]; }
    // The number of innermost runs.
    int64_t outer() const {
        int64_t count = 1;
        for (int axis = 1; axis < rank; ++axis) count *= extent[axis];
        return count;
    }
    // The offset of run number `index` in each operand.
    std::array<int64_t, kOperands> offsets(int64_t index) const {
        std::array<int64_t, kOperands> at{};
        for (int axis = 1; axis < rank; ++axis) {
            const int64_t position = index % extent[axis];
            index /= extent[axis];
            for (int k = 0; k < kOperands; ++k) at[k] += position * stride[axis][k];
        }
        return at;
    }
};

// `full` is the shape of the result; each operand is contiguous and broadcasts to it.
template <int kOperands>
BroadcastPlan<kOperands> plan_broadcast(const Shape& full,
                                        const std::array<const Shape*, kOperands>& operands) {
    BroadcastPlan<kOperands> plan;
    std::array<int64_t, kOperands> running;
    running.fill(1);
    for (int back = 1; back <= full.rank(); ++back) {
        const int64_t extent = full[full.rank() - back];
        std::array<int64_t, kOperands> stride{};
        for (int k = 0; k < kOperands; ++k) {
            const Shape& shape = *operands[k];
            const int64_t own = back <= shape.rank() ? shape[shape.rank() - back] : 1;
            stride[k] = own == 1 ? 0 : running[k];
            running[k] *= own;
        }
        if (extent == 1) continue;
        bool merges = plan.rank > 0;
        for (int k = 0; k < kOperands && merges; ++k)
            merges = stride[k] == plan.stride[plan.rank - 1][k] * plan.extent[plan.rank - 1];
        if (merges) {
            plan.extent[plan.rank - 1] *= extent;
        } else {
            plan.extent[plan.rank] = extent;
            plan.stride[plan.rank++] = stride;
        }
    }
    if (plan.rank == 0) plan.extent[plan.rank++] = 1;
    return plan;
}

}  // namespace vila::cpu_kernels
