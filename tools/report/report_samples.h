#pragma once

// Answers of a finished run's model to a few records of its own training data, for the report.

#include <filesystem>
#include <string>
#include <vector>

#include "tools/base/args.h"
#include "tools/report/html_page.h"

namespace vila::tools {

struct SourceSamples {
    std::string source;
    std::vector<AnswerCard> cards;
};

// Takes `count` records, spread evenly over the sources of RUN/recipe.toml, and lets RUN/model
// answer them. The question is the part of a record before its first target, or the first half of a
// text in which every token is a target. The truth is the run of targets that follows. Throws if
// the run has no model yet, if it trained a vision tower (stage clip), or if its data is missing.
std::vector<SourceSamples> run_samples(const std::filesystem::path& run, int64_t count,
                                       const CommonOptions& options);

}  // namespace vila::tools
