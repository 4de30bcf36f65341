#pragma once

// RUN/log.jsonl: one JSON object per line, one line per step. A full disk does not stop training:
// lines are kept in memory until they can be written.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "tensor/json.h"
#include "tensor/json_fields.h"

namespace vila::tools {

// Reads a log: calls `handle` with the line of each step, in order. Skips an incomplete last line,
// which a killed run leaves. Throws if the file cannot be read, or if a line is not an object with
// "step".
void for_each_logged_step(const std::filesystem::path& file,
                          const std::function<void(const JsonFields& line)>& handle);

// Writes a log.
class RunLog {
  public:
    // Opens the log of a run that continues after `step` finished steps. Removes the lines after
    // that of `step`, and an incomplete last line.
    RunLog(std::filesystem::path file, int64_t step);
    ~RunLog();
    RunLog(const RunLog&) = delete;
    RunLog& operator=(const RunLog&) = delete;

    // Appends a line, or keeps it in memory if it cannot be written now.
    void write(const Json& line);
    // Flushes all lines to the disk; returns false if not all could be written.
    bool sync();

  private:
    void flush();

    std::filesystem::path file_;
    int descriptor_ = -1;
    std::string waiting_;  // lines that are not written yet
};

}  // namespace vila::tools
