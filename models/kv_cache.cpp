#include "models/kv_cache.h"

#include <algorithm>
#include <numeric>

#include "tensor/check.h"
#include "tensor/int_math.h"

namespace vila::models {

KvCache::KvCache(const LlamaConfig& config, Device& device, DType dtype, int64_t pages)
    : pages_(pages) {
    const Shape shape = {pages * kPageRows, config.num_key_value_heads, config.head_dim};
    const ActivityScope scope(device, {"", "the key-value cache"});
    for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
        keys_.push_back(Tensor::empty(device, shape, dtype));
        values_.push_back(Tensor::empty(device, shape, dtype));
    }
}

int64_t KvCache::pages_for(int64_t positions) {
    return ceil_div(positions, kPageRows);
}

void KvCache::write(int64_t layer, const Tensor& rows, const Tensor& keys,
                    const Tensor& values) const {
    const auto scatter = [&](const Tensor& from, const Tensor& to) {
        call(to.device(), "scatter_rows", &Kernels::scatter_rows,
             {.x = from.reshape({from.size(0), -1}),
              .index = rows,
              .y = to.reshape({pages_ * kPageRows, -1})});
    };
    scatter(keys, this->keys(layer));
    scatter(values, this->values(layer));
}

void CachedSequence::check_room(int64_t count, int64_t max_positions) const {
    const int64_t end = length + count;
    VILA_CHECK(end <= capacity(), "the key-value cache holds ", capacity(), " positions, ", end,
               " are needed");
    VILA_CHECK(end <= max_positions, "[decode] ", end, " positions: the model has ", max_positions);
}

CachedSequence sequence_on_first_pages(int64_t positions) {
    CachedSequence sequence;
    sequence.pages.resize(static_cast<size_t>(KvCache::pages_for(positions)));
    std::iota(sequence.pages.begin(), sequence.pages.end(), 0);
    return sequence;
}

CachedRows cached_rows(Device& device, std::span<const int64_t> rows,
                       std::span<const CachedSequence* const> sequences, int64_t max_positions) {
    VILA_CHECK_EQ(rows.size(), sequences.size(), "[decode] row counts for sequences");
    const auto B = static_cast<int64_t>(rows.size());
    std::vector<int32_t> positions, cache_rows, cu_seqlens_q{0}, cu_seqlens_k{0};
    int64_t W = 1;  // pages of the longest sequence
    for (size_t b = 0; b < rows.size(); ++b) {
        const CachedSequence& sequence = *sequences[b];
        sequence.check_room(rows[b], max_positions);
        const int64_t end = sequence.length + rows[b];
        W = std::max(W, KvCache::pages_for(end));
        for (int64_t p = sequence.length; p < end; ++p) {
            positions.push_back(static_cast<int32_t>(p));
            cache_rows.push_back(static_cast<int32_t>(sequence.cache_row(p)));
        }
        cu_seqlens_q.push_back(static_cast<int32_t>(positions.size()));
        cu_seqlens_k.push_back(cu_seqlens_k.back() + static_cast<int32_t>(end));
    }
    std::vector<int32_t> pages(static_cast<size_t>(B * W));
    for (int64_t b = 0; b < B; ++b) {
        const std::vector<int32_t>& own = sequences[static_cast<size_t>(b)]->pages;
        std::copy_n(own.begin(), std::min<int64_t>(W, static_cast<int64_t>(own.size())),
                    pages.begin() + b * W);
    }
    const auto R = static_cast<int64_t>(positions.size());
    return {.positions = Tensor::from_values(device, {R}, positions),
            .cache_rows = Tensor::from_values(device, {R}, cache_rows),
            .cu_seqlens_q = Tensor::from_values(device, {B + 1}, cu_seqlens_q),
            .cu_seqlens_k = Tensor::from_values(device, {B + 1}, cu_seqlens_k),
            .pages = Tensor::from_values(device, {B, W}, pages)};
}

}  // namespace vila::models
