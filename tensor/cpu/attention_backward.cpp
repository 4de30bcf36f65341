// Attention backward by tiles (Dao et al. 2022, FlashAttention): probabilities are recomputed from
// log_sum_exp. One item is one key head of one sequence with all its query heads, so every sum
// belongs to one item and has one order.
//
//   for each tile of keys, each query head of the group, each tile of queries that sees it:
//     S = Q K^T,  dP = dO V^T
//     P = 2^(S - log_sum_exp / ln 2),  dS = P (dP - delta),  delta = rows of dO * out
//     dV += P^T dO,  dK += dS^T Q,  dQ += dS K
//
// Q is packed times scale * log2 e, so dK lacks a factor of ln 2 and dQ a factor of scale.

#include "tensor/cpu/attention.h"
#include "tensor/cpu/parallel.h"
#include "tensor/cpu/tile.h"
#include "tensor/dispatch.h"

namespace vila::cpu_kernels {

namespace {

// Queries and keys of a tile; at D = 128 the tiles in use take about 0.8 MB.
constexpr int64_t kQueryRows = 120, kKeyRows = 128;

// The rows of the largest item; the queries and keys of the largest tile.
struct Extents {
    int64_t rows = 0, queries = 1, keys = 0, D = 0;
};

// Scratch of one worker.
struct Workspace {
    Tile q, dout, k, v, dk, dv, k_transposed, v_transposed, scores, dscores;
    Tile dq;                     // of all rows of the item
    float *log_sum_exp, *delta;  // per row of dq

    Workspace(ScratchCursor& cursor, const Extents& extents) {
        const int64_t depth = round_to_lanes<16>(extents.D);
        const int64_t keys = round_to_lanes<16>(extents.keys);
        for (Tile* tile : {&q, &dout}) *tile = cursor.take_tile(extents.queries, extents.D);
        for (Tile* tile : {&k, &v, &dk, &dv}) *tile = cursor.take_tile(keys, extents.D);
        for (Tile* tile : {&k_transposed, &v_transposed}) *tile = cursor.take_tile(depth, keys);
        for (Tile* tile : {&scores, &dscores}) *tile = cursor.take_tile(extents.queries, keys);
        dq = cursor.take_tile(extents.rows, extents.D);
        log_sum_exp = cursor.take(extents.rows);
        delta = cursor.take(extents.rows);
    }
};

// Turns S and dP of one row into P and dS; clears the columns from `visible` to `end`.
template <int kLanes>
VILA_ALWAYS_INLINE void gradient_row(float* scores, float* dscores, int64_t visible, int64_t end,
                                     float log2_sum_exp2, float delta) {
    const Vec<kLanes> shift = broadcast<kLanes>(log2_sum_exp2), deltas = broadcast<kLanes>(delta);
    int64_t c = 0;
    for (; c < visible; c += kLanes) {
        Vec<kLanes> p = exp2<kLanes>(load<kLanes>(scores + c) - shift);
        if (visible - c < kLanes) p = first_lanes<kLanes>(p, static_cast<int>(visible - c), 0.0F);
        Vec<kLanes> ds = p * (load<kLanes>(dscores + c) - deltas);
        store<kLanes>(scores + c, p);
        store<kLanes>(dscores + c, ds);
    }
    for (; c < end; c += kLanes) {
        store<kLanes>(scores + c, Vec<kLanes>{});
        store<kLanes>(dscores + c, Vec<kLanes>{});
    }
}

template <int kLanes>
VILA_ALWAYS_INLINE float dot_row(const float* a, const float* b, int64_t n) {
    Vec<kLanes> sum{};
    for (int64_t c = 0; c < n; c += kLanes) sum += load<kLanes>(a + c) * load<kLanes>(b + c);
    return sum_lanes<kLanes>(sum);
}

// Computes one tile of queries against the packed tile of keys [key, key + keys).
template <int kLanes>
VILA_ALWAYS_INLINE void backward_tile(const Workspace& space, const Sequence& sequence, bool causal,
                                      int64_t D, int64_t first_query, int64_t queries, int64_t key,
                                      int64_t keys, int64_t first_row) {
    const auto seen = [=](int64_t query_end) {
        return std::clamp<int64_t>(sequence.visible(first_query + query_end - 1, causal) - key, 0,
                                   keys);
    };
    for (const bool gradient : {false, true})
        multiply_tile<kLanes>(as_is(gradient ? space.dout : space.q),
                              gradient ? space.v_transposed : space.k_transposed, queries, keys,
                              {.zero = true}, gradient ? space.dscores : space.scores,
                              [=](int64_t, int64_t row_end) {
                                  return BlockRange{seen(row_end), 0, D};
                              });
    for (int64_t i = 0; i < queries; ++i)
        gradient_row<kLanes>(space.scores.row(i), space.dscores.row(i), seen(i + 1),
                             round_to_lanes<kLanes>(keys),
                             space.log_sum_exp[first_row + i] * kLog2E, space.delta[first_row + i]);
    // The first query that attends to key j of the tile.
    const int64_t shift = sequence.queries() - sequence.keys() - first_query + key;
    const auto first_seeing = [=](int64_t j) {
        return causal ? std::clamp<int64_t>(j + shift, 0, queries) : 0;
    };
    for (const bool key_side : {false, true})
        multiply_tile<kLanes>(transposed(key_side ? space.dscores : space.scores),
                              key_side ? space.q : space.dout, keys, D, {.zero = false},
                              key_side ? space.dk : space.dv, [=](int64_t j, int64_t) {
                                  return BlockRange{D, first_seeing(j), queries};
                              });
    multiply_tile<kLanes>(as_is(space.dscores), space.k, queries, D, {.zero = false},
                          {space.dq.row(first_row), space.dq.stride},
                          [=](int64_t, int64_t row_end) {
                              return BlockRange{D, 0, seen(row_end)};
                          });
}

template <typename T, int kLanes>
VILA_ALWAYS_INLINE void backward_item(const AttentionBackwardArgs& args, int64_t b,
                                      int64_t key_head, const Workspace& space) {
    const int64_t H = args.q.size(1), D = args.q.size(2), group = H / args.k.size(1);
    const Sequence sequence = sequence_at(args.cu_seqlens_q, args.cu_seqlens_k, b);
    const int64_t T_b = sequence.queries(), padded = round_to_lanes<kLanes>(D);
    const HeadRows<T> q(args.q), k(args.k), v(args.v), out(args.out), dout(args.dout), dq(args.dq),
        dk(args.dk), dv(args.dv);
    const float* log_sum_exp = args.log_sum_exp.data<float>();
    const float q_scale = static_cast<float>(args.scale) * kLog2E;

    // Row g * T_b + i of the item is query i of the group's head g.
    for (int64_t g = 0; g < group; ++g) {
        for (int64_t i = 0; i < T_b; ++i) {
            const int64_t row = sequence.query_begin + i, head = key_head * group + g;
            pack_row<kLanes>(dout(row, head), D, 1.0F, space.q.row(0));
            pack_row<kLanes>(out(row, head), D, 1.0F, space.dout.row(0));
            space.delta[g * T_b + i] = dot_row<kLanes>(space.q.row(0), space.dout.row(0), padded);
            space.log_sum_exp[g * T_b + i] = log_sum_exp[row * H + head];
            std::fill_n(space.dq.row(g * T_b + i), padded, 0.0F);
        }
    }
    for (int64_t key = 0; key < sequence.keys(); key += kKeyRows) {
        const int64_t keys = std::min(kKeyRows, sequence.keys() - key);
        for (int64_t j = 0; j < round_to_lanes<kLanes>(keys); ++j) {
            std::fill_n(space.dk.row(j), padded, 0.0F);
            std::fill_n(space.dv.row(j), padded, 0.0F);
            if (j < keys) {
                const int64_t row = sequence.key_begin + key + j;
                pack_row<kLanes>(k(row, key_head), D, 1.0F, space.k.row(j));
                pack_row<kLanes>(v(row, key_head), D, 1.0F, space.v.row(j));
            } else {
                std::fill_n(space.k.row(j), padded, 0.0F);
                std::fill_n(space.v.row(j), padded, 0.0F);
            }
        }
        for (const bool value : {false, true})
            transpose_tile<kLanes>(value ? space.v : space.k, keys, D,
                                   value ? space.v_transposed : space.k_transposed);
        for (int64_t g = 0; g < group; ++g) {
            const int64_t head = key_head * group + g;
            for (int64_t first = 0; first < T_b; first += kQueryRows) {
                const int64_t queries = std::min(kQueryRows, T_b - first);
                if (sequence.visible(first + queries - 1, args.causal) <= key) continue;
                for (int64_t i = 0; i < queries; ++i) {
                    const int64_t row = sequence.query_begin + first + i;
                    pack_row<kLanes>(q(row, head), D, q_scale, space.q.row(i));
                    pack_row<kLanes>(dout(row, head), D, 1.0F, space.dout.row(i));
                }
                backward_tile<kLanes>(space, sequence, args.causal, D, first, queries, key, keys,
                                      g * T_b + first);
            }
        }
        for (int64_t j = 0; j < keys; ++j) {
            const int64_t row = sequence.key_begin + key + j;
            unpack_row<kLanes>(space.dk.row(j), D, kLn2, dk(row, key_head));
            unpack_row<kLanes>(space.dv.row(j), D, 1.0F, dv(row, key_head));
        }
    }
    for (int64_t g = 0; g < group; ++g)
        for (int64_t i = 0; i < T_b; ++i)
            unpack_row<kLanes>(space.dq.row(g * T_b + i), D, static_cast<float>(args.scale),
                               dq(sequence.query_begin + i, key_head * group + g));
}

}  // namespace

void attention_backward_tiled(const AttentionBackwardArgs& args) {
    const CpuDevice& device = cpu(args.q);
    const int64_t B = args.cu_seqlens_q.numel() - 1, K = args.k.size(1), D = args.q.size(2);
    const int64_t group = args.q.size(1) / K;
    Extents extents{.D = D};
    std::vector<AttentionItem> items;
    int64_t cost = 0;
    for (int64_t b = 0; b < B; ++b) {
        const Sequence sequence = sequence_at(args.cu_seqlens_q, args.cu_seqlens_k, b);
        const int64_t rows = sequence.queries() * group;
        extents.rows = std::max(extents.rows, rows);
        extents.queries = std::max(extents.queries, std::min(kQueryRows, sequence.queries()));
        extents.keys = std::max(extents.keys, std::min(kKeyRows, sequence.keys()));
        const int64_t item_cost = 5 * rows * (sequence.keys() + 1) * D;
        for (int64_t key_head = 0; key_head < K; ++key_head)
            items.push_back({b, key_head, 0, sequence.queries(), item_cost});
        cost += K * item_cost;
    }
    std::stable_sort(items.begin(), items.end(),
                     [](const auto& x, const auto& y) { return x.cost > y.cost; });
    const auto count = static_cast<int64_t>(items.size());
    const int threads = worker_count(device, count, cost);
    ScratchCursor counter(nullptr);
    Workspace(counter, extents);
    const int64_t floats = counter.taken();
    const Tensor scratch = Tensor::empty(args.q.device(), {threads, floats}, DType::F32);
    for_float("attention_backward", args.q.dtype(), [&](auto element) {
        using T = decltype(element);
        if constexpr (!std::is_same_v<T, double>) {
            parallel_items(device, threads, count, [&](int64_t index, int worker) {
                const AttentionItem& item = items[static_cast<size_t>(index)];
                ScratchCursor cursor(scratch.data<float>() + worker * floats);
                const Workspace space(cursor, extents);
                with_lanes(device.isa(), [&](auto lanes) {
                    backward_item<T, lanes>(args, item.sequence, item.key_head, space);
                });
            });
        }
    });
}

}  // namespace vila::cpu_kernels
