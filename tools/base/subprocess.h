#pragma once

// Running another program and reading what it says.

#include <string>
#include <vector>

namespace vila::tools {

struct ProcessResult {
    bool found = false;  // whether there is such a program on the PATH
    int exit_code = -1;  // -1 when a signal ended it
    std::string output;  // what it wrote to stdout; its stderr goes where ours goes
};

// Runs words[0] with the other words as arguments, without a shell and without input, and waits.
// Throws when no process can be started.
ProcessResult run_process(const std::vector<std::string>& words);

}  // namespace vila::tools
