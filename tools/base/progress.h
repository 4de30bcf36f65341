#pragma once

// The progress line of a long job on stderr: rewritten in place on a terminal, printed as plain
// lines at growing intervals elsewhere.

#include <cstdint>
#include <string>

#include "tools/base/timing.h"

namespace vila::tools {

class Progress {
  public:
    // Each line starts with `what`; counts run from `done` to `total`. With `silent` nothing is
    // printed, for ranks other than 0.
    Progress(std::string what, int64_t total, int64_t done = 0, bool silent = false);
    // Ends the line on a terminal.
    ~Progress();
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    // Prints "what 12/100  details  3 min left", unless the previous line is too recent.
    void show(int64_t done, const std::string& details);
    // Prints a message on a line of its own, above the progress line.
    void say(const std::string& message);
    // Seconds since construction.
    double seconds() const;

  private:
    std::string what_;
    int64_t total_, first_;
    bool silent_, terminal_;
    bool line_open_ = false;
    Stopwatch stopwatch_;
    double last_shown_ = -1.0;  // seconds since construction; negative before the first line
};

// A duration for people: "3 s", "2 min 5 s", "4 h 20 min".
std::string duration_text(double seconds);

}  // namespace vila::tools
