#pragma once

// An initialization of attention in which chosen heads, before any training, look back a fixed
// number of tokens, because of their q and k biases alone. A model learns to copy from its context
// by means of heads that look at the previous token (Olsson et al. 2022, In-context Learning and
// Induction Heads). Small models that start at random find such heads late or never.

#include "models/config.h"
#include "nn/parameter.h"

namespace vila::models {

// Overwrites q_proj.bias and k_proj.bias of every layer that has a row in config.init.head_offsets.
// The biases of a head without an offset become zero. For a head with offset o, the q bias has a
// random phase, drawn from the seed, in each rotary pair that turns more than kSlowestTurn per
// position; the k bias is the same vector rotated by o positions. Their product is largest, about
// config.init.offset_score, for a key o positions before the query.
void set_head_offsets(const LlamaConfig& config, nn::ParameterTable& table, uint64_t seed);

// Radians per position. Slower pairs do not distinguish neighboring positions and stay zero.
constexpr double kSlowestTurn = 0.05;

}  // namespace vila::models
