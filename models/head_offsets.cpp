#include "models/head_offsets.h"

#include <cmath>
#include <numbers>

#include "tensor/check.h"
#include "tensor/random.h"

namespace vila::models {

namespace {

// Biases of one head, (D) each.
struct HeadBias {
    std::vector<float> query, key;
};

HeadBias offset_bias(const LlamaConfig& config, int64_t offset, uint64_t key) {
    const std::vector<double> turns = config.rope.frequencies(config.head_dim);
    const size_t half = turns.size();
    double fast_pairs = 0.0;
    for (const double turn : turns) fast_pairs += turn > kSlowestTurn ? 1.0 : 0.0;
    const double amplitude = std::sqrt(
        config.init.offset_score * std::sqrt(static_cast<double>(config.head_dim)) / fast_pairs);
    HeadBias bias = {std::vector<float>(2 * half), std::vector<float>(2 * half)};
    for (size_t j = 0; j < half; ++j) {
        if (turns[j] <= kSlowestTurn) continue;
        const double phase = 2.0 * std::numbers::pi * random_uniform(key, j);
        const double turned = phase + static_cast<double>(offset) * turns[j];
        bias.query[j] = static_cast<float>(amplitude * std::cos(phase));
        bias.query[half + j] = static_cast<float>(amplitude * std::sin(phase));
        bias.key[j] = static_cast<float>(amplitude * std::cos(turned));
        bias.key[half + j] = static_cast<float>(amplitude * std::sin(turned));
    }
    return bias;
}

void set_values(nn::ParameterTable& table, const std::string& name,
                const std::vector<float>& values) {
    nn::Parameter& parameter = table.at(name);
    const Tensor& value = parameter.variable.value();
    value.copy_from(Tensor::from_values(value.device(), parameter.shape, values));
}

}  // namespace

void set_head_offsets(const LlamaConfig& config, nn::ParameterTable& table, uint64_t seed) {
    const int64_t group = config.num_attention_heads / config.num_key_value_heads;
    for (size_t layer = 0; layer < config.init.head_offsets.size(); ++layer) {
        std::vector<float> query, key;
        for (int64_t head = 0; head < config.num_key_value_heads; ++head) {
            const auto& offset = config.init.head_offsets[layer][static_cast<size_t>(head)];
            const size_t width = static_cast<size_t>(config.head_dim);
            HeadBias bias = {std::vector<float>(width), std::vector<float>(width)};
            if (offset)
                bias = offset_bias(config, *offset,
                                   random_key(random_key(seed, "head_offsets"), layer,
                                              static_cast<uint64_t>(head)));
            for (int64_t i = 0; i < group; ++i)
                query.insert(query.end(), bias.query.begin(), bias.query.end());
            key.insert(key.end(), bias.key.begin(), bias.key.end());
        }
        set_values(table, str("model.layers.", layer, ".self_attn.q_proj.bias"), query);
        set_values(table, str("model.layers.", layer, ".self_attn.k_proj.bias"), key);
    }
}

}  // namespace vila::models
