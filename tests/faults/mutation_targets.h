#pragma once

// The files that tests/faults/mutate.cpp damages, and the commands that read them.

#include <filesystem>
#include <string>
#include <vector>

namespace vila {

// A file that is changed, and a command that reads it.
struct MutationTarget {
    std::string file;     // relative to the folder
    std::string command;  // words; {} stands for the file
    bool is_text = false;
    std::vector<std::string> also_named = {};  // what a message may name in place of the file
};

// All of them, for a folder that tests/cli/mutations.sh has filled. Always in the same order.
std::vector<MutationTarget> mutation_targets(const std::filesystem::path& folder);

}  // namespace vila
