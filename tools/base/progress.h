#pragma once

// The line that shows how long work goes on: rewritten in place on a terminal, plain lines at
// growing intervals elsewhere.

#include <chrono>
#include <cstdint>
#include <string>

namespace vila::tools {

class Progress {
  public:
    // `what` opens the line; counts go from `done` to `total`. A silent one shows nothing: ranks
    // leave the terminal to the first of them.
    Progress(std::string what, int64_t total, int64_t done = 0, bool silent = false);
    // Ends the line on a terminal.
    ~Progress();
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    // Shows "what 12/100  details  3 min left" unless the last line is too recent.
    void show(int64_t done, const std::string& details);
    // A message of its own, above the line.
    void say(const std::string& message);
    // Seconds since the start.
    double seconds() const;

  private:
    std::string what_;
    int64_t total_, first_;
    bool silent_, terminal_;
    bool line_open_ = false;
    std::chrono::steady_clock::time_point start_;
    double last_shown_ = -1.0;
};

// "3 s", "2 min 5 s", "4 h 20 min".
std::string duration_text(double seconds);

}  // namespace vila::tools
