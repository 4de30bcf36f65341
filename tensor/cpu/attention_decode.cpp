// Attention forward for sequences with few queries, which is bound by reading keys and values:
// nothing is packed, every row of k and v is read once, in memory order, while all query heads of
// the item use it. One item is a range of key heads of one sequence.
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
    float *largest, *total, *factor;

    Workspace(ScratchCursor& cursor, int64_t rows, int64_t D)
        : q(cursor.take_tile(rows, D)),
          scores(cursor.take_tile(rows, kKeyRows)),
          out(cursor.take_tile(rows, D)),
          largest(cursor.take(rows)),
          total(cursor.take(rows)),
          factor(cursor.take(rows)) {}
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

// scores[i] = q . row i, for kLanes rows at k, k + step, ...
template <typename T, int kLanes>
VILA_ALWAYS_INLINE void score_keys(const float* q, const T* k, int64_t step, int64_t D,
                                   float* scores) {
    Vec<kLanes> sums[kLanes] = {};
    int64_t d = 0;
    for (; d + kLanes <= D; d += kLanes) {
        const Vec<kLanes> part = load<kLanes>(q + d);
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) sums[i] += part * load<kLanes>(k + i * step + d);
    }
    Vec<kLanes> score = sum_each<kLanes>(sums);
    for (; d < D; ++d)
        for (int i = 0; i < kLanes; ++i) score[i] += q[d] * static_cast<float>(k[i * step + d]);
    store<kLanes>(scores, score);
}

// The same for one row.
template <typename T, int kLanes>
VILA_ALWAYS_INLINE float score_key(const float* q, const T* k, int64_t D) {
    Vec<kLanes> sum{};
    int64_t d = 0;
    for (; d + kLanes <= D; d += kLanes) sum += load<kLanes>(q + d) * load<kLanes>(k + d);
    float score = sum_lanes<kLanes>(sum);
    for (; d < D; ++d) score += q[d] * static_cast<float>(k[d]);
    return score;
}

// out = factor * out + sum of p[i] * row i of v, for `keys` rows.
template <typename T, int kLanes>
VILA_ALWAYS_INLINE void add_values(const float* p, const T* v, int64_t step, int64_t keys,
                                   int64_t D, float factor, float* out) {
    int64_t d = 0;
    for (; d + kLanes <= D; d += kLanes) {
        Vec<kLanes> sum = load<kLanes>(out + d) * broadcast<kLanes>(factor);
        for (int64_t i = 0; i < keys; ++i)
            sum += broadcast<kLanes>(p[i]) * load<kLanes>(v + i * step + d);
        store<kLanes>(out + d, sum);
    }
    for (; d < D; ++d) {
        float sum = out[d] * factor;
        for (int64_t i = 0; i < keys; ++i) sum += p[i] * static_cast<float>(v[i * step + d]);
        out[d] = sum;
    }
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
            for (int64_t r = 0; r < rows; ++r) {
                const T* k_rows = k(first + j, key_head_begin + r / rows_per_head);
                float* scores = space.scores.row(r) + j;
                if (j + kLanes <= keys) {
                    score_keys<T, kLanes>(space.q.row(r), k_rows, k.row_step, D, scores);
                } else {
                    for (int64_t i = 0; i < keys - j; ++i)
                        scores[i] =
                            score_key<T, kLanes>(space.q.row(r), k_rows + i * k.row_step, D);
                }
            }
        }
        for (int64_t r = 0; r < rows; ++r)
            space.factor[r] = softmax_row<kLanes>(
                space.scores.row(r), std::min(sequence.visible(query(r), args.causal) - key, keys),
                round_to_lanes<kLanes>(keys), space.largest[r], space.total[r]);
        for (int64_t j = 0; j < keys; j += kLanes)
            for (int64_t r = 0; r < rows; ++r)
                add_values<T, kLanes>(space.scores.row(r) + j,
                                      v(first + j, key_head_begin + r / rows_per_head), v.row_step,
                                      std::min<int64_t>(kLanes, keys - j), D,
                                      j == 0 ? space.factor[r] : 1.0F, space.out.row(r));
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
            parallel_items(threads, count * parts, [&](int64_t item, int worker) {
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
