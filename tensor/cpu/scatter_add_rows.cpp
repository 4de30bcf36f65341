// y rows index += x rows; -1 is skipped.

#include "tensor/cpu/dispatch.h"
#include "tensor/cpu/kernels.h"
#include "tensor/cpu/row_index.h"

namespace vila::cpu_kernels {

void scatter_add_rows(const ScatterAddRowsArgs& args) {
    check_row_index("scatter_add_rows", args.index, -1, args.y.size(0));
    for_float("scatter_add_rows", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const int64_t columns = args.y.size(1);
        const int32_t* index = args.index.data<int32_t>();
        const T* x = args.x.data<T>();
        auto* y = args.y.data<compute_t<T>>();
        for (int64_t r = 0; r < args.index.numel(); ++r) {
            if (index[r] < 0) continue;
            for (int64_t c = 0; c < columns; ++c)
                y[index[r] * columns + c] += static_cast<compute_t<T>>(x[r * columns + c]);
        }
    });
}

}  // namespace vila::cpu_kernels
