#pragma once

// Shared by the files of CPU attention. attention.cpp holds the reference and the choice of the
// implementation; attention_forward.cpp, attention_decode.cpp and attention_backward.cpp are fast.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <vector>

#include "tensor/cpu/tile.h"
#include "tensor/kernels.h"

namespace vila::cpu_kernels {

// Rows [query_begin, query_end) of q and [key_begin, key_end) of k and v.
struct Sequence {
    int64_t query_begin, query_end, key_begin, key_end;
    int64_t queries() const { return query_end - query_begin; }
    int64_t keys() const { return key_end - key_begin; }
    // The number of keys that query i (counted from query_begin) attends to.
    int64_t visible(int64_t i, bool causal) const {
        return causal ? std::max<int64_t>(0, keys() - (queries() - 1 - i)) : keys();
    }
};

inline Sequence sequence_at(const Tensor& cu_seqlens_q, const Tensor& cu_seqlens_k, int64_t b) {
    const int32_t* query = cu_seqlens_q.data<int32_t>();
    const int32_t* key = cu_seqlens_k.data<int32_t>();
    return {query[b], query[b + 1], key[b], key[b + 1]};
}

// With pages, the keys of sequence b begin at b * W * kPageRows, as if all pages of the table
// (B, W) lay end to end. KeyRows finds the row of the tensor.
inline Sequence sequence_at(const AttentionForwardArgs& args, int64_t b) {
    Sequence sequence = sequence_at(args.cu_seqlens_q, args.cu_seqlens_k, b);
    if (!args.pages.defined()) return sequence;
    const int64_t keys = sequence.keys();
    sequence.key_begin = b * args.pages.size(1) * kPageRows;
    sequence.key_end = sequence.key_begin + keys;
    return sequence;
}

// Addresses of the rows (row r, head h) of a (R, H, D) tensor whose rows may be strided.
template <typename T>
struct HeadRows {
    T* data;
    int64_t row_stride, head_stride;
    explicit HeadRows(const Tensor& tensor)
        : data(tensor.data<T>()),
          row_stride(tensor.strides()[0]),
          head_stride(tensor.strides()[1]) {}
    T* operator()(int64_t row, int64_t head) const {
        return data + row * row_stride + head * head_stride;
    }
};

// Addresses of the rows of keys or values, which may lie in pages. Keys in one page are row_stride
// apart.
template <typename T>
struct KeyRows {
    HeadRows<T> rows;
    const int32_t* pages;  // null: row r is row r of the tensor
    KeyRows(const Tensor& tensor, const Tensor& page_table)
        : rows(tensor), pages(page_table.defined() ? page_table.data<int32_t>() : nullptr) {}
    T* operator()(int64_t row, int64_t head) const {
        if (pages == nullptr) return rows(row, head);
        return rows(pages[row / kPageRows] * kPageRows + row % kPageRows, head);
    }
};

// Scores are kept in units of ln 2, so that probabilities are powers of two.
constexpr float kLog2E = std::numbers::log2e_v<float>, kLn2 = std::numbers::ln2_v<float>;
constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

// Hands out scratch memory piece by piece; with a null memory it only counts.
class ScratchCursor {
  public:
    explicit ScratchCursor(float* memory) : memory_(memory) {}
    // Every piece starts on a cache line.
    float* take(int64_t floats) {
        float* const begin = memory_ == nullptr ? nullptr : memory_ + taken_;
        taken_ += round_up(floats, 16);
        return begin;
    }
    Tile take_tile(int64_t rows, int64_t columns) {
        const int64_t stride = tile_stride(columns);
        return {take(rows * stride), stride};
    }
    int64_t taken() const { return taken_; }

  private:
    float* memory_;
    int64_t taken_ = 0;
};

// Turns a row of scores into probabilities 2^(score - maximum), in place. Only the first `visible`
// columns take part; the columns from there to `end` are cleared. Updates the running maximum and
// sum of the row (Milakov and Gimelshein 2018) and returns the factor that rescales earlier sums.
template <int kLanes>
VILA_ALWAYS_INLINE float softmax_row(float* scores, int64_t visible, int64_t end, float& largest,
                                     float& total) {
    if (visible <= 0) {
        for (int64_t c = 0; c < end; c += kLanes) store<kLanes>(scores + c, Vec<kLanes>{});
        return 1.0F;
    }
    const int64_t whole = visible / kLanes * kLanes;
    const auto rest = static_cast<int>(visible - whole);
    Vec<kLanes> most = broadcast<kLanes>(largest), last{};
    for (int64_t c = 0; c < whole; c += kLanes)
        most = larger<kLanes>(most, load<kLanes>(scores + c));
    if (rest > 0) {
        last = first_lanes<kLanes>(load<kLanes>(scores + whole), rest, kMinusInfinity);
        most = larger<kLanes>(most, last);
    }
    const float now = largest_lane<kLanes>(most);
    const Vec<kLanes> shift = broadcast<kLanes>(now);
    Vec<kLanes> sum{};
    int64_t c = 0;
    for (; c < whole; c += kLanes) {
        const Vec<kLanes> p = exp2<kLanes>(load<kLanes>(scores + c) - shift);
        store<kLanes>(scores + c, p);
        sum += p;
    }
    if (rest > 0) {
        const Vec<kLanes> p = exp2<kLanes>(last - shift);
        store<kLanes>(scores + c, p);
        sum += p;
        c += kLanes;
    }
    for (; c < end; c += kLanes) store<kLanes>(scores + c, Vec<kLanes>{});
    const float factor = largest == kMinusInfinity ? 0.0F : std::exp2(largest - now);
    largest = now;
    total = total * factor + sum_lanes<kLanes>(sum);
    return factor;
}

// Writes the results of a row of the forward pass: the weighted sum divided by its total, in T, and
// log_sum_exp. A row without visible keys gives zeros and minus infinity.
template <int kLanes, typename T>
VILA_ALWAYS_INLINE void finish_row(const float* sum, int64_t D, float largest, float total, T* out,
                                   float* log_sum_exp) {
    if (total == 0.0F) {
        std::fill_n(out, D, T(0.0F));
        *log_sum_exp = kMinusInfinity;
        return;
    }
    unpack_row<kLanes>(sum, D, 1.0F / total, out);
    *log_sum_exp = kLn2 * largest + std::log(total);
}

// An independent piece of work; `cost` is its approximate number of multiply-adds.
struct AttentionItem {
    int64_t sequence, key_head, query_begin, query_end, cost;
};

// For f32 and bf16, sequences of any length.
void attention_forward_tiled(const AttentionForwardArgs& args,
                             const std::vector<int64_t>& sequences);
void attention_backward_tiled(const AttentionBackwardArgs& args);
// For f32 and bf16, sequences with few queries: reads each key and value once, in memory order.
void attention_decode(const AttentionForwardArgs& args, const std::vector<int64_t>& sequences);

}  // namespace vila::cpu_kernels
