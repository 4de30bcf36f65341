#pragma once

// The progress line of a long job on stderr: rewritten in place on a terminal, printed as plain
// lines at growing intervals elsewhere.

#include <cstdint>
#include <string>

#include "tools/base/timing.h"

namespace vila::tools {

class Progress {
  public:
    // Each line starts with `what`; counts run from `done` to `total`, which is negative if it is
    // not known. With `silent` nothing is printed, for ranks other than 0.
    Progress(std::string what, int64_t total, int64_t done = 0, bool silent = false);
    // Ends the line on a terminal.
    ~Progress();
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    // Prints "what 12/100  details  3 min 0 s left", unless the previous line is too recent. Always
    // prints the last line, with done == total.
    void show(int64_t done, const std::string& details);
    // Prints "what 12/100  3.40 per s  26 s left" at the same times as show(), but nothing in the
    // first 2 seconds, so that short work stays silent.
    void count(int64_t done);
    // Prints a message on a line of its own, above the progress line.
    void say(const std::string& message);
    // Seconds since construction.
    double seconds() const;

  private:
    bool is_due(int64_t done, double now) const;
    void print(const std::string& line);

    std::string what_;
    int64_t total_, first_;
    bool silent_, terminal_;
    bool line_open_ = false;
    Stopwatch stopwatch_;
    double last_shown_ = -1.0;  // seconds since construction; negative before the first line
};

// "what 12/100  details  26 s left", of work that began at `first` and took `seconds`; at the end
// "in 3 s" in place of the time left. `total` is negative if it is not known.
std::string progress_line(const std::string& what, int64_t first, int64_t done, int64_t total,
                          const std::string& details, double seconds);

// "3.41 per s", with at least three digits.
std::string rate_text(double per_second);

// A duration for people: "3 s", "2 min 5 s", "4 h 20 min".
std::string duration_text(double seconds);

}  // namespace vila::tools
