#pragma once

// The tables of the demo, made from its scores.

#include "tensor/json_fwd.h"

namespace vila::tools {

// Means of the scores of `results`, which has "tasks" and "text_tasks": "zero_shot", "four_shot"
// and "blind" over the ordinary tasks with images, "text_zero_shot" and "text_base" over the tasks
// without.
Json demo_means(const Json& results);

// The list "tables" of results.json, from "tasks", "text_tasks" and "means" of `results`.
Json demo_tables(const Json& results);

}  // namespace vila::tools
