#pragma once

// Runs another program and captures its output.

#include <string>
#include <vector>

namespace vila::tools {

struct ProcessResult {
    bool found = false;  // whether the program is on the PATH
    int exit_code = -1;  // -1 if a signal ended it
    std::string output;  // what it wrote to stdout; its stderr is that of this process
};

// Runs the program words[0] with the other words as arguments, without a shell and with empty
// stdin, and waits for it. Throws if the program is on the PATH but cannot be started, or if its
// output cannot be read.
ProcessResult run_process(const std::vector<std::string>& words);

}  // namespace vila::tools
