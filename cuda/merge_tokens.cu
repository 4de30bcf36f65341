// Space to depth over a square grid of tokens: each 2 x 2 block becomes one token of 4C channels.
// The inverse splits it again. One thread per element of the merged tokens, in both directions.

#include "cuda/elements.h"
#include "cuda/kernels.h"

namespace vila::cuda {

namespace {

template <typename T>
struct MergeTokens {
    T* grid;    // (B, side, side, C)
    T* tokens;  // (B, merged_side^2, 4, C)
    int64_t C, side, merged_side;
    bool column_major, inverse;

    __device__ void operator()(int64_t i) const {
        const int64_t c = i % C, quarter = i / C % 4;
        const int64_t item = i / C / 4, token = item % (merged_side * merged_side);
        const int64_t b = item / (merged_side * merged_side);
        const int64_t slow = token / merged_side, fast = token % merged_side;
        const int64_t row = 2 * (column_major ? fast : slow) + quarter / 2;
        const int64_t column = 2 * (column_major ? slow : fast) + quarter % 2;
        if (row >= side || column >= side) {
            if (!inverse) tokens[i] = narrow<T>(compute_t<T>(0));
            return;
        }
        T& cell = grid[((b * side + row) * side + column) * C + c];
        if (inverse) {
            cell = tokens[i];
        } else {
            tokens[i] = cell;
        }
    }
};

// The side of a square grid of `tokens` tokens.
int64_t grid_side(int64_t tokens) {
    int64_t side = 0;
    while (side * side < tokens) ++side;
    return side;
}

}  // namespace

void merge_tokens(const MergeTokensArgs& args) {
    for_float("merge_tokens", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        for_elements(device_of(args.y), args.y.numel(),
                     MergeTokens<T>{args.x.data<T>(), args.y.data<T>(), args.x.size(2),
                                    grid_side(args.x.size(1)), grid_side(args.y.size(1)),
                                    args.column_major, args.inverse});
    });
}

}  // namespace vila::cuda
