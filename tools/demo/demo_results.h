#pragma once

// The measurements at the end of the demo. Tasks with images are scored 0-shot, 4-shot and without
// image features ("blind"). For comparison there are two baselines: a random answer ("chance") and
// the attribute of a random object of the scene ("unbound"). Text-only tasks are scored before and
// after the stages with images.

#include <filesystem>
#include <string>

#include "tensor/json.h"
#include "tools/base/args.h"

namespace vila::tools {

// Evaluates DIR/model, and the base language model DIR/runs/lm-2/model, on DIR/world. Returns an
// object with "tasks" and "text_tasks" by name, "means", and "tables" and "samples" for the report.
Json measure_demo(const std::filesystem::path& directory, const CommonOptions& options);

// The tables in the result of measure_demo(), as text for the terminal.
std::string demo_summary(const Json& results);

}  // namespace vila::tools
