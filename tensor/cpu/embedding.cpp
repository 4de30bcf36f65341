// Looks up rows of a table by id. The gradient of the table adds rows by id (row_sums.h).

#include <cstring>

#include "tensor/cpu/kernels.h"
#include "tensor/cpu/row_index.h"
#include "tensor/cpu/row_sums.h"

namespace vila::cpu_kernels {

void embedding_forward(const EmbeddingForwardArgs& args) {
    check_row_index("embedding", args.ids, 0, args.table.size(0));
    const int64_t row_bytes = args.table.size(1) * dtype_size(args.table.dtype());
    const int32_t* ids = args.ids.data<int32_t>();
    const char* table = static_cast<const char*>(args.table.raw());
    char* y = static_cast<char*>(args.y.raw());
    parallel_for(cpu(args.y), args.ids.numel(), row_bytes / 4, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r)
            std::memcpy(y + r * row_bytes, table + ids[r] * row_bytes,
                        static_cast<size_t>(row_bytes));
    });
}

void embedding_backward(const EmbeddingBackwardArgs& args) {
    check_row_index("embedding", args.ids, 0, args.dtable.size(0));
    for_float("embedding", args.dy.dtype(), [&](auto zero) {
        using T = decltype(zero);
        add_rows_at(cpu(args.dtable), args.dy.data<T>(), args.ids.data<int32_t>(), args.ids.numel(),
                    args.dtable.size(1), args.dtable.data<compute_t<T>>());
    });
}

}  // namespace vila::cpu_kernels
