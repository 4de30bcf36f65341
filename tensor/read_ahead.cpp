#include "tensor/read_ahead.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

namespace vila {

namespace {

// Small enough to stop quickly, large enough for whole huge pages.
constexpr uintptr_t kPiece = uintptr_t{8} << 20;

// Whether the kernel read it. Kernels before 5.14 cannot.
bool populate(uintptr_t begin, uintptr_t end) {
    return ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_POPULATE_READ) == 0;
}

}  // namespace

ReadAhead::ReadAhead(std::vector<Range> ranges)
    : thread_([ranges = std::move(ranges)](const std::stop_token& stop) {
          const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
          for (const Range& range : ranges) {
              const auto first = reinterpret_cast<uintptr_t>(range.begin);
              const uintptr_t end = first + static_cast<uintptr_t>(range.bytes);
              for (uintptr_t begin = first / page * page; begin < end; begin += kPiece)
                  if (stop.stop_requested() || !populate(begin, std::min(begin + kPiece, end)))
                      return;
          }
      }) {}

void ReadAhead::wait() {
    thread_.join();
}

}  // namespace vila
