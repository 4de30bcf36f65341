#pragma once

// The tokenizer of a run: read from where the recipe says, or trained on the run's own text.

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/records/dataset.h"
#include "data/text/tokenizer.h"
#include "tools/train/recipe.h"

namespace vila::tools {

// Returns the directory with the tokenizer's files. When the recipe names none, trains one on the
// text of `datasets` as [model.tokenizer_config] says (vocab_size, split) and writes it to
// `own_directory`; a run that goes on finds it there.
std::filesystem::path settle_tokenizer(const Recipe& recipe,
                                       const std::vector<std::unique_ptr<data::Dataset>>& datasets,
                                       const std::filesystem::path& own_directory);

// The text of up to kTokenizerText bytes of records, spread evenly over each dataset: what lies
// between images and special tokens, as training will see it.
constexpr int64_t kTokenizerText = int64_t{256} << 20;
std::vector<std::string> sample_texts(const std::vector<std::unique_ptr<data::Dataset>>& datasets,
                                      const std::string& chat_template);

}  // namespace vila::tools
