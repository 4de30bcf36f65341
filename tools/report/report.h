#pragma once

// The report of a training run or of a whole demo: one self-contained HTML page with loss curves
// per source, learning rate, gradient norm, result tables, and questions with their pictures,
// answers and the truth.

#include <filesystem>
#include <string>
#include <vector>

#include "tools/report/report_samples.h"

namespace vila::tools {

// `folder` is a run (has log.jsonl) or a collection of runs (has runs/NAME/log.jsonl, as a demo
// leaves it). results.json beside either, when present, gives tables and samples:
//   {"tables": [{"title": "..", "columns": [..], "rows": [[..]]}],
//    "samples": [{"images": [path, ..], "question": "..", "answer": "..", "truth": "..",
//                 "correct": true}]}
// with image paths relative to `folder`. `samples` are what the model of a single run answers to
// its own training data. Returns the page; throws when there is no run to report.
std::string report_page(const std::filesystem::path& folder,
                        const std::vector<SourceSamples>& samples = {});

}  // namespace vila::tools
