#pragma once

// Limits of recipes that follow from several keys.

#include <cstdint>

namespace vila::tools {

// The most positions of a micro-batch, train.micro_batch * data.max_length.
inline constexpr int64_t kMostMicroBatchPositions = int64_t{1} << 24;
// The most optimizer steps of a run.
inline constexpr int64_t kMostTotalSteps = 10'000'000'000;

}  // namespace vila::tools
