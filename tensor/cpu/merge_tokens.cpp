// Space to depth over a square grid of tokens: each 2 x 2 block becomes one token of 4C channels.

#include <algorithm>

#include "tensor/cpu/kernels.h"
#include "tensor/cpu/parallel.h"
#include "tensor/dispatch.h"

namespace vila::cpu_kernels {

namespace {

// The side of a square grid of `tokens` tokens.
int64_t grid_side(int64_t tokens) {
    int64_t side = 0;
    while (side * side < tokens) ++side;
    return side;
}

}  // namespace

void merge_tokens(const MergeTokensArgs& args) {
    const Tensor &x = args.x, &y = args.y;
    const int64_t N = x.size(1), C = x.size(2), merged = y.size(1);
    const int64_t side = grid_side(N), merged_side = grid_side(merged);
    for_float("merge_tokens", x.dtype(), [&](auto element) {
        using T = decltype(element);
        T* grid = x.data<T>();
        T* tokens = y.data<T>();
        parallel_for(cpu(x), x.size(0) * merged, 4 * C, [&](int64_t begin, int64_t end) {
            for (int64_t item = begin; item < end; ++item) {
                const int64_t b = item / merged, token = item % merged;
                const int64_t slow = token / merged_side, fast = token % merged_side;
                const int64_t block_row = args.column_major ? fast : slow;
                const int64_t block_column = args.column_major ? slow : fast;
                for (int64_t quarter = 0; quarter < 4; ++quarter) {
                    const int64_t row = 2 * block_row + quarter / 2;
                    const int64_t column = 2 * block_column + quarter % 2;
                    T* merged_part = tokens + item * 4 * C + quarter * C;
                    T* cell = grid + ((b * side + row) * side + column) * C;
                    if (row >= side || column >= side) {
                        if (!args.inverse) std::fill_n(merged_part, C, T(0));
                    } else if (args.inverse) {
                        std::copy_n(merged_part, C, cell);
                    } else {
                        std::copy_n(cell, C, merged_part);
                    }
                }
            }
        });
    });
}

}  // namespace vila::cpu_kernels
