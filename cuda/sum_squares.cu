// result += sum of x^2, in f64. One warp per chunk of x (sums.h).

#include "cuda/kernels.h"
#include "cuda/sums.h"

namespace vila::cuda {

namespace {

template <typename T>
struct Square {
    const T* x;

    __device__ double operator()(int64_t /*o*/, int64_t r) const {
        const auto value = static_cast<double>(widen(x[r]));
        return value * value;
    }
};

}  // namespace

void sum_squares(const SumSquaresArgs& args) {
    for_float("sum_squares", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        sum_terms<Neighbors::Terms, double>(device_of(args.x), 1, args.x.numel(),
                                            Square<T>{args.x.data<T>()},
                                            AddTo<double>{args.result.data<double>()});
    });
}

}  // namespace vila::cuda
