#include "tools/base/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "tensor/check.h"

namespace vila::tools {

namespace {

constexpr double kTerminalInterval = 0.2;  // seconds between two updates of the line
// Plain lines are at least 2 s apart, and at least 5 % of the time so far, so that the log of a
// long run stays short.
constexpr double kPlainInterval = 2.0;  // seconds
constexpr double kPlainShare = 0.05;

}  // namespace

Progress::Progress(std::string what, int64_t total, int64_t done, bool silent)
    : what_(std::move(what)),
      total_(total),
      first_(done),
      silent_(silent),
      terminal_(::isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
    if (line_open_) std::fputc('\n', stderr);
}

double Progress::seconds() const {
    return stopwatch_.elapsed();
}

void Progress::show(int64_t done, const std::string& details) {
    if (silent_) return;
    const double now = seconds();
    const double interval =
        terminal_ ? kTerminalInterval : std::max(kPlainInterval, kPlainShare * now);
    const bool last = done == total_;
    if (!last && last_shown_ >= 0.0 && now - last_shown_ < interval) return;
    last_shown_ = now;
    std::string line = str(what_, " ", done, "/", total_);
    if (!details.empty()) line += "  " + details;
    if (last)
        line += "  in " + duration_text(now);
    else if (done > first_)
        line += "  " +
                duration_text(now * static_cast<double>(total_ - done) /
                              static_cast<double>(done - first_)) +
                " left";
    std::fprintf(stderr, terminal_ ? "\r\033[K%s" : "%s\n", line.c_str());
    std::fflush(stderr);
    line_open_ = terminal_;
}

void Progress::say(const std::string& message) {
    if (silent_) return;
    if (line_open_) std::fputs("\r\033[K", stderr);
    line_open_ = false;
    std::fprintf(stderr, "%s\n", message.c_str());
}

std::string duration_text(double seconds) {
    const auto whole = static_cast<int64_t>(std::max(seconds, 0.0) + 0.5);
    if (whole < 60) return str(whole, " s");
    if (whole < 3600) return str(whole / 60, " min ", whole % 60, " s");
    return str(whole / 3600, " h ", whole % 3600 / 60, " min");
}

}  // namespace vila::tools
