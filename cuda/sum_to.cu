// y = x summed along broadcast axes. The axes of x form two groups: those that y keeps, and those
// that are summed over. Each element of y is one sum, and sum_terms (sums.h) computes all of them.

#include "cuda/kernels.h"
#include "cuda/strided.h"
#include "cuda/sums.h"

namespace vila::cuda {

namespace {

// Term r of the sum that gives element o of y.
template <typename T>
struct Term {
    const T* x;
    StridedPlan<1> kept, summed;

    __device__ compute_t<T> operator()(int64_t o, int64_t r) const {
        return widen(x[kept.offset(o, 0) + summed.offset(r, 0)]);
    }
};

template <typename T, typename Y>
struct Store {
    Y* y;
    bool accumulate;

    __device__ void operator()(int64_t o, compute_t<T> total) const {
        using Compute = std::common_type_t<compute_t<T>, compute_t<Y>>;
        const auto sum = static_cast<Compute>(total);
        y[o] = narrow<Y>(accumulate ? static_cast<Compute>(widen(y[o])) + sum : sum);
    }
};

// The axes of x that y keeps (if `kept`) or that are summed over (if not), with the strides of x.
StridedPlan<1> plan_axes(const Shape& x, const Shape& y, bool kept) {
    const Shape x_strides = x.row_major_strides(), y_strides = broadcast_strides(y, x);
    Shape extents, strides;
    for (int axis = 0; axis < x.rank(); ++axis) {
        if ((y_strides[axis] != 0) != kept) continue;
        extents.push_back(x[axis]);
        strides.push_back(x_strides[axis]);
    }
    return plan_strided<1>(extents, {strides});
}

}  // namespace

void sum_to(const SumToArgs& args) {
    const Shape &x = args.x.shape(), &y = args.y.shape();
    const StridedPlan<1> kept = plan_axes(x, y, true), summed = plan_axes(x, y, false);
    const int64_t outputs = y.numel(), count = outputs == 0 ? 0 : x.numel() / outputs;
    const bool along_outputs = x.rank() > 0 && broadcast_strides(y, x)[-1] != 0;
    for_float("sum_to", args.x.dtype(), [&](auto x_zero) {
        for_float("sum_to", args.y.dtype(), [&](auto y_zero) {
            using T = decltype(x_zero);
            using Y = decltype(y_zero);
            const Term<T> term = {args.x.data<T>(), kept, summed};
            const Store<T, Y> store = {args.y.data<Y>(), args.accumulate};
            CudaDevice& device = device_of(args.y);
            if (along_outputs) {
                sum_terms<Neighbors::Outputs, compute_t<T>>(device, outputs, count, term, store);
            } else {
                sum_terms<Neighbors::Terms, compute_t<T>>(device, outputs, count, term, store);
            }
        });
    });
}

}  // namespace vila::cuda
