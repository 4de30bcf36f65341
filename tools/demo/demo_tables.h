#pragma once

// The means and the tables of the demo's scores.

#include "tensor/json_fwd.h"

namespace vila::tools {

// Means of the scores in `results`, which has "tasks" and "text_tasks". "zero_shot", "four_shot"
// and "blind" are means over the tasks with images except "property", "text_zero_shot" and
// "text_base" over the tasks without images.
Json demo_means(const Json& results);

// Returns the list "tables" of results.json, made from "tasks", "text_tasks" and "means" of
// `results`.
Json demo_tables(const Json& results);

}  // namespace vila::tools
