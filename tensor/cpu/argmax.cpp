// argmax: the column of the largest number in each row.

#include <limits>

#include "tensor/cpu/kernels.h"
#include "tensor/cpu/parallel.h"
#include "tensor/dispatch.h"

namespace vila::cpu_kernels {

void argmax(const ArgmaxArgs& args) {
    for_float("argmax", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        using Compute = compute_t<T>;
        const int64_t columns = args.x.size(1);
        const T* x = args.x.data<T>();
        int32_t* index = args.index.data<int32_t>();
        parallel_for(cpu(args.x), args.x.size(0), columns, [=](int64_t begin, int64_t end) {
            for (int64_t r = begin; r < end; ++r) {
                Compute largest = -std::numeric_limits<Compute>::infinity();
                index[r] = -1;
                for (int64_t c = 0; c < columns; ++c) {
                    const auto value = static_cast<Compute>(x[r * columns + c]);
                    if (!(value > largest)) continue;
                    largest = value;
                    index[r] = static_cast<int32_t>(c);
                }
            }
        });
    });
}

}  // namespace vila::cpu_kernels
