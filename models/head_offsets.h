#pragma once

// An initialization of attention in which chosen heads already look a fixed number of tokens back,
// by their q and k biases alone. Copying from context develops from heads that look at the previous
// token (Olsson et al. 2022, In-context Learning and Induction Heads). From a random start small
// models find such heads late or never.

#include "models/config.h"
#include "nn/parameter.h"

namespace vila::models {

// Overwrites q_proj.bias and k_proj.bias of every layer that has a row in config.init.head_offsets.
// The biases of a head without an offset become zero. With offset o, the q bias is a vector of
// random phases, a function of the seed, on the rotary pairs that turn more than kSlowestTurn per
// position, and the k bias is that vector turned by o positions. Their product is largest, about
// config.init.offset_score, for a key o positions before the query.
void set_head_offsets(const LlamaConfig& config, nn::ParameterTable& table, uint64_t seed);

// Radians per position. Slower pairs do not distinguish neighboring positions and stay zero.
constexpr double kSlowestTurn = 0.05;

}  // namespace vila::models
