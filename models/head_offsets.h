#pragma once

// A start for attention in which chosen heads already look a fixed number of tokens back, through
// their q and k biases alone. A head that looks at the token before is what copying from context
// grows from (Olsson et al. 2022, In-context Learning and Induction Heads); small models find it
// late or never from a random start.

#include "models/config.h"
#include "nn/parameter.h"

namespace vila::models {

// Overwrites q_proj.bias and k_proj.bias where config.init.head_offsets has an entry for the layer
// and key head: with no offset, zeros; with offset o, the q bias is a vector of random phases (a
// pure function of the seed) on the rotary pairs that turn more than kSlowestTurn a position, and
// the k bias is that vector turned by o positions, so that their product is largest, about
// config.init.offset_score, for a key o positions before the query.
void set_head_offsets(const LlamaConfig& config, nn::ParameterTable& table, uint64_t seed);

// Radians a position; slower pairs cannot tell neighbours apart and stay zero.
constexpr double kSlowestTurn = 0.05;

}  // namespace vila::models
