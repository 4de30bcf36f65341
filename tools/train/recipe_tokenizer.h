#pragma once

// The tokenizer of a run: that of the recipe, or one trained on the text of the data sources.

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/records/dataset.h"
#include "data/text/tokenizer.h"
#include "tools/train/recipe.h"
#include "tools/train/run_directory.h"

namespace vila::tools {

// Returns the directory with the tokenizer's files. If the recipe gives none, trains a tokenizer on
// the text of `datasets` by [model.tokenizer_config] (vocab_size, split) and writes it to the run's
// folder for it, unless it is there from an earlier call.
std::filesystem::path find_or_train_tokenizer(
    const Recipe& recipe, const std::vector<std::unique_ptr<data::Dataset>>& datasets,
    const RunDirectory& run);

// The most bytes of text that a tokenizer is trained on.
constexpr int64_t kTokenizerText = int64_t{256} << 20;
// Returns about kTokenizerText bytes of text from records that are spread evenly over each dataset:
// the parts between images and special tokens, as rendered for training.
std::vector<std::string> sample_texts(const std::vector<std::unique_ptr<data::Dataset>>& datasets,
                                      const data::ChatTemplate& chat);

}  // namespace vila::tools
