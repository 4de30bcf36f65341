#pragma once

// Brings mapped files into memory ahead of their use, by a thread that does nothing else: a disk is
// then read at its full speed while the processor works on what has come already. Without it,
// whoever touches a page first waits for the disk, page after page.

#include <cstdint>
#include <thread>
#include <vector>

namespace vila {

class ReadAhead {
  public:
    struct Range {
        const void* begin;
        int64_t bytes;
    };
    // Reads the ranges one after the other, in order. They must stay mapped as long as this object.
    // What cannot be read ahead (an older kernel, a file that shrank) is left to its first use.
    explicit ReadAhead(std::vector<Range> ranges);
    // Stops early; what has been read stays in memory.
    ~ReadAhead() = default;
    ReadAhead(const ReadAhead&) = delete;
    ReadAhead& operator=(const ReadAhead&) = delete;

    // Waits until the last range has been read.
    void wait();

  private:
    std::jthread thread_;
};

}  // namespace vila
