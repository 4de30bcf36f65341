#pragma once

// The held-out questions of the world, and what can be scored on them without understanding.

#include <filesystem>

#include "data/world/files.h"
#include "data/world/text.h"
#include "data/world/words.h"
#include "data/world/world.h"

namespace vila::data {

// "describe the image ." and the full caption without its full stop.
Question description_question(const Scene& scene);

// Writes TASK.jsonl for each task into the new directory `out`: questions about `test` images, with
// four examples from `train` images each. Returns the list of tasks:
// {"name", "file", "questions", "chance", "unbound"?, "unbound_majority"?}, where
//   chance            picks any value the answer could have;
//   unbound           picks the attribute of any object of the scene: reads, but does not bind;
//   unbound_majority  picks the scene's most frequent value of the attribute.
Json write_evaluations(const WorldOptions& options, const Pool& train, const Pool& test,
                       const Facts& facts, const std::filesystem::path& out);

}  // namespace vila::data
