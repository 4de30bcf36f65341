#pragma once

// The report of a training run or of a demo: one self-contained HTML page with curves (loss per
// source, learning rate, gradient norm, speed), result tables, and questions with images, the
// model's answers and the correct ones.

#include <filesystem>
#include <string>
#include <vector>

#include "tools/report/report_samples.h"

namespace vila::tools {

// `folder` is a run (it holds log.jsonl) or a collection of runs, as a demo leaves it (it holds
// runs/NAME/log.jsonl). An optional results.json in it gives tables and samples:
//   {"tables": [{"title": "..", "columns": [..], "rows": [[..]]}],
//    "samples": [{"images": [path, ..], "question": "..", "answer": "..", "truth": "..",
//                 "correct": true}]}
// with image paths relative to `folder`. `samples` are the answers of a run's model to its own
// training data. Returns the page. Throws if there is no run.
std::string report_page(const std::filesystem::path& folder,
                        const std::vector<SourceSamples>& samples = {});

// Throws if a page in the file `page` would replace a file that is read for it, or any other file
// of `folder` or of the run's images than an earlier page.
void check_report_path(const std::filesystem::path& folder, const std::filesystem::path& page);

}  // namespace vila::tools
