// y[index[r]] += x[r]; rows with index -1 are skipped.

#include "tensor/cpu/kernels.h"
#include "tensor/cpu/row_index.h"
#include "tensor/cpu/row_sums.h"

namespace vila::cpu_kernels {

void scatter_add_rows(const ScatterAddRowsArgs& args) {
    check_row_index("scatter_add_rows", args.index, -1, args.y.size(0));
    for_float("scatter_add_rows", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        add_rows_at(cpu(args.y), args.x.data<T>(), args.index.data<int32_t>(), args.index.numel(),
                    args.y.size(1), args.y.data<compute_t<T>>());
    });
}

}  // namespace vila::cpu_kernels
