#pragma once

// RUN/log.jsonl: one JSON object a line, one line a step. A disk that is full does not stop
// training: lines wait in memory until they can be written.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "tensor/json.h"

namespace vila::tools {

// Reads a log: calls `handle` with the line of each step, in order. Skips a last line that was cut short
// when its run was killed. Throws if the file cannot be opened, or if a line is not an object with "step".
void for_each_logged_step(const std::filesystem::path& file,
                          const std::function<void(const Json& line)>& handle);

// Writes a log.
class RunLog {
  public:
    // Opens the log of a run that goes on after `step` finished steps: lines of later steps, and a
    // last line that was cut short, are removed.
    RunLog(std::filesystem::path file, int64_t step);
    ~RunLog();
    RunLog(const RunLog&) = delete;
    RunLog& operator=(const RunLog&) = delete;

    void write(const Json& line);
    // Returns once what was written is on the disk; false when the disk did not take it all.
    bool sync();

  private:
    void flush();

    std::filesystem::path file_;
    int descriptor_ = -1;
    std::string waiting_;
};

}  // namespace vila::tools
