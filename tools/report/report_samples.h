#pragma once

// What a finished run's model answers to a few records of its own training data, for the report.

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

// Answers `count` records, evenly spread over every source of RUN/recipe.toml, with RUN/model. Of a
// record the question is what comes before its first target, or, where a text is nothing but
// targets, its first half; the truth is what training wanted next. Throws when the run has no model
// yet, is of stage clip, or its data are gone.
std::vector<SourceSamples> run_samples(const std::filesystem::path& run, int64_t count,
                                       const CommonOptions& options);

}  // namespace vila::tools
