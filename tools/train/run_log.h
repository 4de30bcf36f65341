#pragma once

// RUN/log.jsonl: one JSON object a line, one line a step. A disk that is full does not stop
// training: lines wait in memory until they can be written.

#include <cstdint>
#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

namespace vila::tools {

using Json = nlohmann::ordered_json;

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
