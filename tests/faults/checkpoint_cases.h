#pragma once

// Small checkpoints whose every value says which step they are of.

#include <cstdint>
#include <filesystem>

namespace vila::tools {

struct SaveWay {
    int64_t ranks = 1;  // on threads
    bool async = false;
};

// Saves the state of a step into a store that keeps two.
void save_step(const std::filesystem::path& folder, int64_t step, const SaveWay& way);
// What a program that starts does: removes leftovers, loads the newest, compares every value with
// what was saved. Returns its step, or -1 where there is none; throws as the store does.
int64_t start_step(const std::filesystem::path& folder);

}  // namespace vila::tools
