#pragma once

// Reads mapped files into memory before they are used, in a thread of its own. The disk is then
// read at full speed while the processor works on the pages that have arrived. Without it, the
// first access to each page waits for the disk, page by page.

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
    // Pages that cannot be read ahead (an older kernel, a file that shrank) are read at first use.
    explicit ReadAhead(std::vector<Range> ranges);
    // Stops early; pages that were read stay in memory.
    ~ReadAhead() = default;
    ReadAhead(const ReadAhead&) = delete;
    ReadAhead& operator=(const ReadAhead&) = delete;

    // Waits until the last range has been read.
    void wait();

  private:
    std::jthread thread_;
};

}  // namespace vila
