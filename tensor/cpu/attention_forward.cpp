// Attention forward by tiles (Dao et al. 2022, FlashAttention) with the running softmax of Milakov
// and Gimelshein 2018. One item is a tile of queries of one sequence, for all query heads that
// share a key head: packed key and value tiles are used by the whole group.
//
//   for each tile of keys:
//     S = Q K^T                      scores in units of ln 2 (Q was packed times scale * log2 e)
//     m' = max(m, rows of S)         per row
//     P = 2^(S - m'),  f = 2^(m - m'),  l = f l + sum P
//     O = f O + P V
//   out = O / l,  log_sum_exp = ln 2 (m + log2 l)

#include "tensor/cpu/attention.h"
#include "tensor/cpu/parallel.h"
#include "tensor/cpu/tile.h"
#include "tensor/dispatch.h"
#include "tensor/int_math.h"

namespace vila::cpu_kernels {

namespace {

// Rows of a query tile: enough to make packing a key tile (about half a cycle per element) cheap
// beside its use (rows / 32 cycles per element), few enough for Q, S and O to stay in L2.
constexpr int64_t kQueryRows = 240;
// Keys of a tile: two register panels of AVX-512.
constexpr int64_t kKeyRows = 128;

// Scratch of one worker.
struct Workspace {
    Tile q, k, v, k_transposed, scores, out;
    float *largest, *total, *factor;  // per row

    // Takes memory for `rows` rows of queries and `keys` keys from the cursor.
    Workspace(ScratchCursor& cursor, int64_t rows, int64_t keys, int64_t D)
        : q(cursor.take_tile(rows, D)),
          k(cursor.take_tile(round_to_lanes<16>(keys), D)),
          v(cursor.take_tile(round_to_lanes<16>(keys), D)),
          k_transposed(cursor.take_tile(round_to_lanes<16>(D), keys)),
          scores(cursor.take_tile(rows, keys)),
          out(cursor.take_tile(rows, D)),
          largest(cursor.take(rows)),
          total(cursor.take(rows)),
          factor(cursor.take(rows)) {}
};

template <typename T, int kLanes>
VILA_ALWAYS_INLINE void forward_item(const AttentionForwardArgs& args, const AttentionItem& item,
                                     const Workspace& space) {
    const int64_t H = args.q.size(1), D = args.q.size(2), group = H / args.k.size(1);
    const Sequence sequence = sequence_at(args, item.sequence);
    const HeadRows<T> q(args.q), out(args.out);
    const KeyRows<T> k(args.k, args.pages), v(args.v, args.pages);
    const bool causal = args.causal;
    const int64_t first_query = item.query_begin, first_head = item.key_head * group;
    const int64_t rows = (item.query_end - item.query_begin) * group;
    // Tile row r is query first_query + r / group, head first_head + r % group.
    const auto visible = [=](int64_t r) {
        return sequence.visible(first_query + r / group, causal);
    };

    const float q_scale = static_cast<float>(args.scale) * kLog2E;
    for (int64_t r = 0; r < rows; ++r) {
        pack_row<kLanes>(q(sequence.query_begin + first_query + r / group, first_head + r % group),
                         D, q_scale, space.q.row(r));
        space.largest[r] = kMinusInfinity;
        space.total[r] = 0.0F;
    }
    const int64_t key_end = visible(rows - 1);
    for (int64_t key = 0; key < key_end; key += kKeyRows) {
        const int64_t keys = std::min(kKeyRows, key_end - key);
        for (int64_t j = 0; j < keys; ++j) {
            pack_row<kLanes>(k(sequence.key_begin + key + j, item.key_head), D, 1.0F,
                             space.k.row(j));
            pack_row<kLanes>(v(sequence.key_begin + key + j, item.key_head), D, 1.0F,
                             space.v.row(j));
        }
        for (int64_t j = keys; j < round_to_lanes<kLanes>(keys); ++j)
            std::fill_n(space.k.row(j), round_to_lanes<kLanes>(D), 0.0F);
        transpose_tile<kLanes>(space.k, keys, D, space.k_transposed);
        // The columns of this tile that a block of rows ending before row_end attends to.
        const auto seen = [=](int64_t row_end) {
            return std::clamp<int64_t>(visible(row_end - 1) - key, 0, keys);
        };
        multiply_tile<kLanes>(as_is(space.q), space.k_transposed, rows, keys, {.zero = true},
                              space.scores, [=](int64_t, int64_t row_end) {
                                  return BlockRange{seen(row_end), 0, D};
                              });
        for (int64_t r = 0; r < rows; ++r)
            space.factor[r] =
                softmax_row<kLanes>(space.scores.row(r), std::min(visible(r) - key, keys),
                                    round_to_lanes<kLanes>(seen(std::min(r + kBlockRows, rows))),
                                    space.largest[r], space.total[r]);
        multiply_tile<kLanes>(as_is(space.scores), space.v, rows, D,
                              {.zero = key == 0, .factor = space.factor}, space.out,
                              [=](int64_t, int64_t row_end) {
                                  return BlockRange{D, 0, seen(row_end)};
                              });
    }
    float* log_sum_exp = args.log_sum_exp.data<float>();
    for (int64_t r = 0; r < rows; ++r) {
        const int64_t row = sequence.query_begin + first_query + r / group;
        const int64_t head = first_head + r % group;
        finish_row<kLanes>(space.out.row(r), D, space.largest[r], space.total[r], out(row, head),
                           log_sum_exp + row * H + head);
    }
}

// The query tiles of the sequences, the most expensive first.
std::vector<AttentionItem> cut(const AttentionForwardArgs& args,
                               const std::vector<int64_t>& sequences) {
    const int64_t K = args.k.size(1), group = args.q.size(1) / K, D = args.q.size(2);
    std::vector<AttentionItem> items;
    for (const int64_t b : sequences) {
        const Sequence sequence = sequence_at(args, b);
        const int64_t most = std::max<int64_t>(1, kQueryRows / group);
        const int64_t tiles = ceil_div(sequence.queries(), most);
        for (int64_t tile = 0; tile < tiles; ++tile) {
            const int64_t begin = sequence.queries() * tile / tiles;
            const int64_t end = sequence.queries() * (tile + 1) / tiles;
            const int64_t cost =
                2 * (end - begin) * group * (sequence.visible(end - 1, args.causal) + 1) * D;
            for (int64_t key_head = 0; key_head < K; ++key_head)
                items.push_back({b, key_head, begin, end, cost});
        }
    }
    std::stable_sort(items.begin(), items.end(),
                     [](const auto& x, const auto& y) { return x.cost > y.cost; });
    return items;
}

}  // namespace

void attention_forward_tiled(const AttentionForwardArgs& args,
                             const std::vector<int64_t>& sequences) {
    const CpuDevice& device = cpu(args.q);
    const int64_t D = args.q.size(2), group = args.q.size(1) / args.k.size(1);
    const std::vector<AttentionItem> items = cut(args, sequences);
    int64_t rows = 0, keys = 0, cost = 0;
    for (const AttentionItem& item : items) {
        const Sequence sequence = sequence_at(args, item.sequence);
        rows = std::max(rows, (item.query_end - item.query_begin) * group);
        keys = std::max(keys, std::min(kKeyRows, sequence.keys()));
        cost += item.cost;
    }
    const auto count = static_cast<int64_t>(items.size());
    const int threads = worker_count(device, count, cost);
    ScratchCursor counter(nullptr);
    Workspace(counter, rows, keys, D);
    const int64_t floats = counter.taken();
    const Tensor scratch = Tensor::empty(args.q.device(), {threads, floats}, DType::F32);
    for_float("attention_forward", args.q.dtype(), [&](auto element) {
        using T = decltype(element);
        if constexpr (!std::is_same_v<T, double>) {
            parallel_items(device, threads, count, [&](int64_t item, int worker) {
                ScratchCursor cursor(scratch.data<float>() + worker * floats);
                const Workspace space(cursor, rows, keys, D);
                with_lanes(device.isa(), [&](auto lanes) {
                    forward_item<T, lanes>(args, items[static_cast<size_t>(item)], space);
                });
            });
        }
    });
}

}  // namespace vila::cpu_kernels
