#pragma once

// The values in token ids and labels that are not token ids. They are those of LLaVA and PyTorch.

#include <cstdint>

namespace vila {

// Stands for an image in a sequence of ids. The model replaces it with the image's tokens.
constexpr int32_t kImageToken = -200;
// The label of a position that takes no part in the loss.
constexpr int32_t kIgnoreLabel = -100;

}  // namespace vila
