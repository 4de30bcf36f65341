#pragma once

// Writes the held-out questions of the world, and computes the expected scores of guessing.

#include <filesystem>

#include "data/world/files.h"
#include "data/world/text.h"
#include "data/world/words.h"
#include "data/world/world.h"

namespace vila::data {

// Returns "describe the image ." with the full caption, without its full stop, as the answer.
Question description_question(const Scene& scene);

// Writes TASK.jsonl for each task into the new directory `out`: questions about `test` images, each
// with four examples from `train` images. Returns the list of tasks:
// {"name", "file", "questions", "chance", "unbound"?, "unbound_majority"?}. The last three are the
// expected scores of answering with
//   chance            a random value that the answer could have;
//   unbound           the attribute of a random object of the scene, not of the right one;
//   unbound_majority  the scene's most frequent value of the attribute.
Json write_evaluations(const WorldOptions& options, const Pool& train, const Pool& test,
                       const Facts& facts, const std::filesystem::path& out);

}  // namespace vila::data
