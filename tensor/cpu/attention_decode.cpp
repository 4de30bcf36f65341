// Attention forward for sequences with few queries, which is bound by reading keys and values:
// nothing is packed, every row of k and v is read once, in memory order, while all query heads of
// the item use it. One item is a range of key heads of one sequence.
//
// Rows of bf16 are converted sixteen at a time into the first cache level, once for the group.
//
// Sixteen dot products (as many as there are lanes) are reduced together: adding and transposing
// sixteen sums takes 45 instructions, sixteen separate reductions 128.

#include "tensor/cpu/attention.h"
#include "tensor/cpu/dispatch.h"
#include "tensor/cpu/parallel.h"

namespace vila::cpu_kernels {

namespace {

// Keys between two updates of the running softmax: their scores stay in the first cache level.
constexpr int64_t kKeyRows = 128;

// Scratch of one worker. Rows are ordered by key head, then query, then head of the group.
struct Workspace {
    Tile q, scores, out;
    Tile block;  // a few converted rows of k or v
    float *largest, *total, *factor;

    Workspace(ScratchCursor& cursor, int64_t rows, int64_t D)
        : q(cursor.take_tile(rows, D)),
          scores(cursor.take_tile(rows, kKeyRows)),
          out(cursor.take_tile(rows, D)),
          block(cursor.take_tile(16, D)),
          largest(cursor.take(rows)),
          total(cursor.take(rows)),
          factor(cursor.take(rows)) {}
};

// Rows of one key head, floats or not.
template <typename T>
struct Rows {
    const T* data;
    int64_t step;
    const T* row(int64_t i) const { return data + i * step; }
};

// sums[i] reduced to lane i of the result.
template <int kLanes, int kBlock = kLanes / 2>
VILA_ALWAYS_INLINE Vec<kLanes> sum_each(Vec<kLanes> (&sums)[kLanes]) {
    if constexpr (kBlock == 0) {
        return sums[0];
    } else {
#pragma GCC unroll 16
        for (int i = 0; i < kBlock; ++i) {
            exchange_blocks<kLanes, kBlock>(sums[i], sums[i + kBlock]);
            sums[i] += sums[i + kBlock];
        }
        return sum_each<kLanes, kBlock / 2>(sums);
    }
}

// scores[i] = q . row i of k, for `count` rows, at most kLanes.
template <int kLanes, typename T>
VILA_ALWAYS_INLINE void score_keys(const float* q, Rows<T> k, int64_t count, int64_t D,
                                   float* scores) {
    const int64_t whole = D / kLanes * kLanes;
    if (count == kLanes) {
        Vec<kLanes> sums[kLanes] = {};
        for (int64_t d = 0; d < whole; d += kLanes) {
            const Vec<kLanes> part = load<kLanes>(q + d);
#pragma GCC unroll 16
            for (int i = 0; i < kLanes; ++i) sums[i] += part * load<kLanes>(k.row(i) + d);
        }
        store<kLanes>(scores, sum_each<kLanes>(sums));
    } else {
        for (int64_t i = 0; i < count; ++i) {
            Vec<kLanes> sum{};
            for (int64_t d = 0; d < whole; d += kLanes)
                sum += load<kLanes>(q + d) * load<kLanes>(k.row(i) + d);
            scores[i] = sum_lanes<kLanes>(sum);
        }
    }
    for (int64_t i = 0; i < count && whole < D; ++i)
        for (int64_t d = whole; d < D; ++d) scores[i] += q[d] * static_cast<float>(k.row(i)[d]);
}

// out = factor * out + sum of p[i] * row i of v, for `count` rows.
template <int kLanes, typename T>
VILA_ALWAYS_INLINE void add_values(const float* p, Rows<T> v, int64_t count, int64_t D,
                                   float factor, float* out) {
    int64_t d = 0;
    for (; d + kLanes <= D; d += kLanes) {
        Vec<kLanes> sum = load<kLanes>(out + d) * broadcast<kLanes>(factor);
        for (int64_t i = 0; i < count; ++i)
            sum += broadcast<kLanes>(p[i]) * load<kLanes>(v.row(i) + d);
        store<kLanes>(out + d, sum);
    }
    for (; d < D; ++d) {
        float sum = out[d] * factor;
        for (int64_t i = 0; i < count; ++i) sum += p[i] * static_cast<float>(v.row(i)[d]);
        out[d] = sum;
    }
}

// Calls body(rows) with rows of k or v: as they are, or converted into the block if several queries
// will read them.
template <int kLanes, typename T, typename Body>
VILA_ALWAYS_INLINE void with_rows(Rows<T> rows, int64_t count, int64_t D, int64_t readers,
                                  Tile block, const Body& body) {
    if constexpr (!std::is_same_v<T, float>) {
        if (readers > 1) {
            for (int64_t i = 0; i < count; ++i)
                pack_row<kLanes>(rows.row(i), D, 1.0F, block.row(i));
            return body(Rows<float>{block.data, block.step});
        }
    }
    body(rows);
}

template <typename T, int kLanes>
VILA_ALWAYS_INLINE void decode_item(const AttentionForwardArgs& args, int64_t b,
                                    int64_t key_head_begin, int64_t key_head_end,
                                    const Workspace& space) {
    const int64_t H = args.q.size(1), D = args.q.size(2), group = H / args.k.size(1);
    const Sequence sequence = sequence_at(args.query_starts, args.key_starts, b);
    const HeadRows<T> q(args.q), k(args.k), v(args.v), out(args.out);
    const int64_t rows_per_head = sequence.queries() * group;
    const int64_t rows = (key_head_end - key_head_begin) * rows_per_head;
    const auto query = [=](int64_t r) { return r % rows_per_head / group; };
    const auto head = [=](int64_t r) {
        return (key_head_begin + r / rows_per_head) * group + r % group;
    };

    const float q_scale = static_cast<float>(args.scale) * kLog2E;
    for (int64_t r = 0; r < rows; ++r) {
        pack_row<kLanes>(q(sequence.query_begin + query(r), head(r)), D, q_scale, space.q.row(r));
        std::fill_n(space.out.row(r), D, 0.0F);
        space.largest[r] = kMinusInfinity;
        space.total[r] = 0.0F;
    }
    const int64_t key_end = sequence.visible(sequence.queries() - 1, args.causal);
    for (int64_t key = 0; key < key_end; key += kKeyRows) {
        const int64_t keys = std::min(kKeyRows, key_end - key), first = sequence.key_begin + key;
        for (int64_t j = 0; j < keys; j += kLanes) {
            const int64_t count = std::min<int64_t>(kLanes, keys - j);
            for (int64_t first_row = 0; first_row < rows; first_row += rows_per_head) {
                const int64_t key_head = key_head_begin + first_row / rows_per_head;
                with_rows<kLanes>(Rows<T>{k(first + j, key_head), k.row_step}, count, D,
                                  rows_per_head, space.block, [&](auto keys_block) {
                                      for (int64_t r = first_row; r < first_row + rows_per_head;
                                           ++r)
                                          score_keys<kLanes>(space.q.row(r), keys_block, count, D,
                                                             space.scores.row(r) + j);
                                  });
            }
        }
        for (int64_t r = 0; r < rows; ++r)
            space.factor[r] = softmax_row<kLanes>(
                space.scores.row(r), std::min(sequence.visible(query(r), args.causal) - key, keys),
                round_to_lanes<kLanes>(keys), space.largest[r], space.total[r]);
        for (int64_t j = 0; j < keys; j += kLanes) {
            const int64_t count = std::min<int64_t>(kLanes, keys - j);
            for (int64_t first_row = 0; first_row < rows; first_row += rows_per_head) {
                const int64_t key_head = key_head_begin + first_row / rows_per_head;
                with_rows<kLanes>(
                    Rows<T>{v(first + j, key_head), v.row_step}, count, D, rows_per_head,
                    space.block, [&](auto values_block) {
                        for (int64_t r = first_row; r < first_row + rows_per_head; ++r)
                            add_values<kLanes>(space.scores.row(r) + j, values_block, count, D,
                                               j == 0 ? space.factor[r] : 1.0F, space.out.row(r));
                    });
            }
        }
    }
    float* log_sum_exp = args.log_sum_exp.data<float>();
    for (int64_t r = 0; r < rows; ++r) {
        const int64_t row = sequence.query_begin + query(r);
        finish_row<kLanes>(space.out.row(r), D, space.largest[r], space.total[r], out(row, head(r)),
                           log_sum_exp + row * H + head(r));
    }
}

}  // namespace

void attention_decode(const AttentionForwardArgs& args, const std::vector<int64_t>& sequences) {
    const CpuDevice& device = cpu(args.q);
    const int64_t K = args.k.size(1), D = args.q.size(2), group = args.q.size(1) / K;
    int64_t cost = 0, queries = 0;
    for (const int64_t b : sequences) {
        const Sequence sequence = sequence_at(args.query_starts, args.key_starts, b);
        cost += 2 * sequence.queries() * sequence.keys() * group * K * D;
        queries = std::max(queries, sequence.queries());
    }
    // Heads are independent, so their number per item does not change a bit.
    const auto count = static_cast<int64_t>(sequences.size());
    const int64_t parts = std::min<int64_t>(K, worker_count(device, count * K, cost));
    const int threads = worker_count(device, count * parts, cost);
    ScratchCursor counter(nullptr);
    const int64_t rows = (K + parts - 1) / parts * group * queries;
    Workspace(counter, rows, D);
    const int64_t floats = counter.taken();
    const Tensor scratch = Tensor::empty(args.q.device(), {threads, floats}, DType::F32);
    for_float("attention_forward", args.q.dtype(), [&](auto element) {
        using T = decltype(element);
        if constexpr (!std::is_same_v<T, double>) {
            parallel_items(device, threads, count * parts, [&](int64_t item, int worker) {
                ScratchCursor cursor(scratch.data<float>() + worker * floats);
                const Workspace space(cursor, rows, D);
                const int64_t b = sequences[static_cast<size_t>(item / parts)], part = item % parts;
                with_lanes(device.isa(), [&](auto lanes) {
                    decode_item<T, lanes>(args, b, K * part / parts, K * (part + 1) / parts, space);
                });
            });
        }
    });
}

}  // namespace vila::cpu_kernels
