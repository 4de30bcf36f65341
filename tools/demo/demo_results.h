#pragma once

// What the demo measures when it has trained: every held-out task of the miniature world 0-shot,
// 4-shot and blind, beside chance and the unbound level, and the text-only tasks beside the
// language model before it saw an image.

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "tools/base/args.h"

namespace vila::tools {

// Evaluates DIR/model and the base language model DIR/runs/lm-2/model on DIR/world. The object has
// "tasks" and "text_tasks" by name, "means", and "tables" and "samples" for the report.
nlohmann::ordered_json measure_demo(const std::filesystem::path& directory,
                                    const CommonOptions& options);

// The tables of measure_demo() as text for a terminal.
std::string demo_summary(const nlohmann::ordered_json& results);

}  // namespace vila::tools
