// y[r] = x[index[r]]; an index of -1 gives zeros.

#include <cstring>

#include "tensor/cpu/kernels.h"
#include "tensor/cpu/parallel.h"
#include "tensor/cpu/row_index.h"

namespace vila::cpu_kernels {

void gather_rows(const GatherRowsArgs& args) {
    check_row_index("gather_rows", args.index, -1, args.x.size(0));
    const int64_t row_bytes = args.x.size(1) * dtype_size(args.x.dtype());
    const int32_t* index = args.index.data<int32_t>();
    const char* x = static_cast<const char*>(args.x.raw());
    char* y = static_cast<char*>(args.y.raw());
    parallel_for(cpu(args.y), args.index.numel(), row_bytes / 4, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
            const auto bytes = static_cast<size_t>(row_bytes);
            if (index[r] < 0) {
                std::memset(y + r * row_bytes, 0, bytes);
            } else {
                std::memcpy(y + r * row_bytes, x + index[r] * row_bytes, bytes);
            }
        }
    });
}

}  // namespace vila::cpu_kernels
