#include "models/kv_cache.h"

#include "tensor/check.h"
#include "tensor/kernels.h"

namespace vila::models {

KvCache::KvCache(const LlamaConfig& config, Device& device, DType dtype, int64_t capacity)
    : capacity_(capacity) {
    const Shape shape = {capacity, config.num_key_value_heads, config.head_dim};
    const ActivityScope scope(device, {"", "the key-value cache"});
    for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
        keys_.push_back(Tensor::empty(device, shape, dtype));
        values_.push_back(Tensor::empty(device, shape, dtype));
    }
}

void KvCache::append(int64_t layer, const Tensor& keys, const Tensor& values) {
    const int64_t end = length_ + keys.size(0);
    VILA_CHECK(end <= capacity_, "the key-value cache holds ", capacity_, " positions, ", end,
               " are needed");
    const auto index = static_cast<size_t>(layer);
    keys_[index].slice(0, length_, end).copy_from(keys);
    values_[index].slice(0, length_, end).copy_from(values);
}

void KvCache::write(int64_t layer, const Tensor& positions, const Tensor& keys,
                    const Tensor& values) const {
    const auto index = static_cast<size_t>(layer);
    const auto scatter = [&](const Tensor& rows, const Tensor& cache) {
        call(cache.device(), "scatter_rows", &Kernels::scatter_rows,
             {.x = rows.reshape({rows.size(0), -1}),
              .index = positions,
              .y = cache.reshape({capacity_, -1})});
    };
    scatter(keys, keys_[index]);
    scatter(values, values_[index]);
}

Tensor KvCache::keys(int64_t layer, int64_t positions) const {
    return keys_[static_cast<size_t>(layer)].slice(0, 0, positions);
}

Tensor KvCache::values(int64_t layer, int64_t positions) const {
    return values_[static_cast<size_t>(layer)].slice(0, 0, positions);
}

void KvCache::advance(int64_t rows) {
    VILA_ASSERT(rows >= 0 && length_ + rows <= capacity_);
    length_ += rows;
}

void KvCache::truncate(int64_t length) {
    VILA_ASSERT(0 <= length && length <= length_);
    length_ = length;
}

}  // namespace vila::models
