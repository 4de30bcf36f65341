// y[index[r]] += x[r]; rows with index -1 are skipped.

#include "cuda/kernels.h"
#include "cuda/row_sums.h"

namespace vila::cuda {

void scatter_add_rows(const ScatterAddRowsArgs& args) {
    for_float("scatter_add_rows", args.x.dtype(), [&](auto zero) {
        add_rows_at<decltype(zero)>(args.x, args.index, args.y, -1, FaultKind::ScatterAddRows);
    });
}

}  // namespace vila::cuda
