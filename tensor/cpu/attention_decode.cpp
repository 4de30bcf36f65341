// Attention forward for sequences with few queries. Reading keys and values limits its speed:
// nothing is packed, and every row of k and v is read once, in memory order, while all query heads
// of the item use it. One item is a range of key heads of one sequence.
//
// Where several queries read a head, tiles of four queries by a few keys convert every key once and
// do enough arithmetic to hide the memory latency, if they prefetch early. One query alone takes as
// many keys as there are lanes.

#include "tensor/cpu/attention.h"
#include "tensor/cpu/parallel.h"
#include "tensor/dispatch.h"
#include "tensor/int_math.h"

namespace vila::cpu_kernels {

namespace {

// Keys between two updates of the running softmax: their scores stay in the first cache level.
constexpr int64_t kKeyRows = 128;
// Keys whose scores are computed at a time, and keys whose values are added at a time: rows of one
// head are often a multiple of 4 KiB apart, and the first cache level holds twelve of those.
constexpr int64_t kScoreRows = 16, kValueRows = 8;
// A block of kScoreRows or kValueRows keys begins at a multiple of its size, so it lies in one
// page.
static_assert(kPageRows % kScoreRows == 0 && kPageRows % kValueRows == 0 &&
              kKeyRows % kPageRows == 0);
// Queries of a head that share a tile.
constexpr int kTileRows = 4;

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

// Reduces sums[i] to lane i of the result. For 16 lanes that takes 45 instructions; 16 separate
// reductions take 128.
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

// Prefetches `count` rows.
template <typename T>
VILA_ALWAYS_INLINE void prefetch_rows(const T* row, int64_t stride, int64_t count, int64_t D) {
    constexpr int64_t kLine = 64 / sizeof(T);
    for (int64_t i = 0; i < count; ++i, row += stride)
        for (int64_t d = 0; d < D; d += kLine) __builtin_prefetch(row + d);
}

// scores[row][key] = dot(row of q, row of k) for kLanes / kRows keys, so that every sum ends in one
// lane. Only `count` of these keys exist; the others repeat the last.
template <int kLanes, int kRows, typename T>
VILA_ALWAYS_INLINE void score_tile(Tile q, const T* k, int64_t k_stride, int64_t count, int64_t D,
                                   Tile scores) {
    constexpr int kKeys = kLanes / kRows;
    const T* key_row[kKeys];
#pragma GCC unroll 16
    for (int key = 0; key < kKeys; ++key)
        key_row[key] = k + std::min<int64_t>(key, count - 1) * k_stride;
    Vec<kLanes> sums[kLanes] = {};
    const int64_t whole = D / kLanes * kLanes;
    for (int64_t d = 0; d < whole; d += kLanes) {
        Vec<kLanes> rows[kRows];
#pragma GCC unroll 4
        for (int row = 0; row < kRows; ++row) rows[row] = load<kLanes>(q.row(row) + d);
#pragma GCC unroll 16
        for (int key = 0; key < kKeys; ++key) {
            const Vec<kLanes> keys = load<kLanes>(key_row[key] + d);
#pragma GCC unroll 4
            for (int row = 0; row < kRows; ++row) sums[row * kKeys + key] += rows[row] * keys;
        }
    }
    float each[kLanes];
    store<kLanes>(each, sum_each<kLanes>(sums));
    for (int i = 0; i < kLanes && whole < D; ++i)
        for (int64_t d = whole; d < D; ++d)
            each[i] += q.row(i / kKeys)[d] * static_cast<float>(key_row[i % kKeys][d]);
#pragma GCC unroll 4
    for (int row = 0; row < kRows; ++row)
        std::memcpy(scores.row(row), each + row * kKeys, sizeof(float) * kKeys);
}

// Computes the scores of `count` keys, at most kScoreRows.
template <int kLanes, int kRows, typename T>
VILA_ALWAYS_INLINE void score_keys(Tile q, const T* k, int64_t k_stride, int64_t count, int64_t D,
                                   Tile scores) {
    constexpr int kKeys = kLanes / kRows;
    for (int64_t key = 0; key < count; key += kKeys)
        score_tile<kLanes, kRows>(q, k + key * k_stride, k_stride, count - key, D,
                                  Tile{scores.data + key, scores.stride});
}

// out = factor * out (factor 1 if null) + p values, for kRows rows of one head and all D columns;
// p (row, key), values (key, column). A tile of sums fills half of the registers.
template <int kLanes, int kRows, typename T>
VILA_ALWAYS_INLINE void add_values(Tile p, const T* v, int64_t v_stride, int64_t keys, int64_t D,
                                   const float* factor, Tile out) {
    constexpr int kVecs = (kLanes == 16 ? 16 : 8) / (kRows == 1 ? 2 : kRows);
    const Start start = {.zero = false, .factor = factor};
    int64_t d = 0;
    for (; d + kVecs * kLanes <= D; d += kVecs * kLanes)
        multiply_block<kLanes, kRows, kVecs>(as_is(p), v + d, v_stride, keys, start, out.data + d,
                                             out.stride);
    for (; d + kLanes <= D; d += kLanes)
        multiply_block<kLanes, kRows, 1>(as_is(p), v + d, v_stride, keys, start, out.data + d,
                                         out.stride);
    for (; d < D; ++d)
        for (int row = 0; row < kRows; ++row) {
            float& sum = out.row(row)[d];
            if (factor != nullptr) sum *= factor[row];
            for (int64_t key = 0; key < keys; ++key)
                sum += p.row(row)[key] * static_cast<float>(v[key * v_stride + d]);
        }
}

// The key heads and queries of one item.
template <typename T>
struct Item {
    const Workspace& space;
    int64_t D, key_head_begin, rows, rows_per_head;

    // Calls body(key, count, row of k or v at this key and head, first row of the head) for blocks
    // of at most kBlock keys and every head, and prefetches the next block where that pays.
    template <int64_t kBlock, typename Body>
    VILA_ALWAYS_INLINE void for_each_block(const KeyRows<T>& from, int64_t first, int64_t keys,
                                           const Body& body) const {
        const HeadRows<T>& strides = from.rows;
        for (int64_t key = 0; key < keys; key += kBlock) {
            const T* head = from(first + key, key_head_begin);
            const bool has_next = key + kBlock < keys;
            const T* next = has_next ? from(first + key + kBlock, key_head_begin)
                                     : head + kBlock * strides.row_stride;
            for (int64_t row = 0; row < rows; row += rows_per_head) {
                if (rows_per_head >= kTileRows) prefetch_rows(next, strides.row_stride, kBlock, D);
                body(key, std::min(kBlock, keys - key), head, row);
                head += strides.head_stride;
                next += strides.head_stride;
            }
        }
    }

    // Computes the scores of `keys` keys from row `first` of k, for all rows.
    template <int kLanes>
    VILA_ALWAYS_INLINE void score(const KeyRows<T>& k, int64_t first, int64_t keys) const {
        const Tile& q = space.q;
        const Tile& scores = space.scores;
        for_each_block<kScoreRows>(
            k, first, keys, [&](int64_t key, int64_t count, const T* head, int64_t row) {
                const int64_t end = row + rows_per_head;
                for (; row + kTileRows <= end; row += kTileRows)
                    score_keys<kLanes, kTileRows>(Tile{q.row(row), q.stride}, head,
                                                  k.rows.row_stride, count, D,
                                                  Tile{scores.row(row) + key, scores.stride});
                for (; row < end; ++row)
                    score_keys<kLanes, 1>(Tile{q.row(row), q.stride}, head, k.rows.row_stride,
                                          count, D, Tile{scores.row(row) + key, scores.stride});
            });
    }

    // out = factor * out + scores values, for all rows.
    template <int kLanes>
    VILA_ALWAYS_INLINE void add(const KeyRows<T>& v, int64_t first, int64_t keys) const {
        for_each_block<kValueRows>(
            v, first, keys, [&](int64_t key, int64_t count, const T* head, int64_t row) {
                const int64_t end = row + rows_per_head;
                const auto add_rows = [&](auto count_rows) {
                    add_values<kLanes, count_rows>(
                        Tile{space.scores.row(row) + key, space.scores.stride}, head,
                        v.rows.row_stride, count, D, key == 0 ? space.factor + row : nullptr,
                        Tile{space.out.row(row), space.out.stride});
                    row += count_rows;
                };
                while (row + kTileRows <= end) add_rows(std::integral_constant<int, kTileRows>{});
                while (row < end) add_rows(std::integral_constant<int, 1>{});
            });
    }
};

template <typename T, int kLanes>
VILA_ALWAYS_INLINE void decode_item(const AttentionForwardArgs& args, int64_t b,
                                    int64_t key_head_begin, int64_t key_head_end,
                                    const Workspace& space) {
    const int64_t H = args.q.size(1), D = args.q.size(2), group = H / args.k.size(1);
    const Sequence sequence = sequence_at(args, b);
    const HeadRows<T> q(args.q), out(args.out);
    const KeyRows<T> k(args.k, args.pages), v(args.v, args.pages);
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
    const Item<T> item{space, D, key_head_begin, rows, rows_per_head};
    const int64_t key_end = sequence.visible(sequence.queries() - 1, args.causal);
    for (int64_t key = 0; key < key_end; key += kKeyRows) {
        const int64_t keys = std::min(kKeyRows, key_end - key), first = sequence.key_begin + key;
        item.template score<kLanes>(k, first, keys);
        for (int64_t r = 0; r < rows; ++r)
            space.factor[r] = softmax_row<kLanes>(
                space.scores.row(r), std::min(sequence.visible(query(r), args.causal) - key, keys),
                round_to_lanes<kLanes>(keys), space.largest[r], space.total[r]);
        item.template add<kLanes>(v, first, keys);
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
        const Sequence sequence = sequence_at(args, b);
        cost += 2 * sequence.queries() * sequence.keys() * group * K * D;
        queries = std::max(queries, sequence.queries());
    }
    // Heads are independent, so the number of heads per item does not change the result.
    const auto count = static_cast<int64_t>(sequences.size());
    const int64_t parts = std::min<int64_t>(K, worker_count(device, count * K, cost));
    const int threads = worker_count(device, count * parts, cost);
    ScratchCursor counter(nullptr);
    const int64_t rows = ceil_div(K, parts) * group * queries;
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
