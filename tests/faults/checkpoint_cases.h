#pragma once

// Saves and loads small checkpoints, in which every value depends on the step.

#include <cstdint>
#include <filesystem>

namespace vila::tools {

// How a checkpoint is saved.
struct SaveWay {
    int64_t ranks = 1;  // on threads
    bool async = false;
};

// Saves the state of a step into a store that keeps the two newest checkpoints.
void save_step(const std::filesystem::path& folder, int64_t step, const SaveWay& way);
// Does the same as a program that starts: removes leftovers and loads the newest checkpoint.
// Expects that every value is the saved one. Returns the step, or -1 if there is no checkpoint;
// throws as the store does.
int64_t start_step(const std::filesystem::path& folder);

}  // namespace vila::tools
