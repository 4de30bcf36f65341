// y[index[r]] = x[r], or zeros without x.

#include <cstring>

#include "tensor/cpu/kernels.h"
#include "tensor/cpu/row_index.h"

namespace vila::cpu_kernels {

void scatter_rows(const ScatterRowsArgs& args) {
    check_row_index("scatter_rows", args.index, 0, args.y.size(0));
    const int64_t row_bytes = args.y.size(1) * dtype_size(args.y.dtype());
    const int32_t* index = args.index.data<int32_t>();
    const char* x = args.x.defined() ? static_cast<const char*>(args.x.raw()) : nullptr;
    char* y = static_cast<char*>(args.y.raw());
    for (int64_t r = 0; r < args.index.numel(); ++r) {
        char* y_row = y + index[r] * row_bytes;
        if (x) {
            std::memcpy(y_row, x + r * row_bytes, static_cast<size_t>(row_bytes));
        } else {
            std::memset(y_row, 0, static_cast<size_t>(row_bytes));
        }
    }
}

}  // namespace vila::cpu_kernels
