#include "tools/base/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "tensor/check.h"
#include "tools/base/message_line.h"

namespace vila::tools {

namespace {

constexpr double kTerminalInterval = 0.2;  // seconds between two updates of the line
// Plain lines are at least 2 s apart, and at least 5 % of the time so far, so that the log of a
// long run stays short.
constexpr double kPlainInterval = 2.0;  // seconds
constexpr double kPlainShare = 0.05;
constexpr double kSilentStart = 2.0;  // seconds without a line of count()

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

bool Progress::is_due(int64_t done, double now) const {
    if (silent_) return false;
    const double interval =
        terminal_ ? kTerminalInterval : std::max(kPlainInterval, kPlainShare * now);
    return done == total_ || last_shown_ < 0.0 || now - last_shown_ >= interval;
}

void Progress::print(const std::string& line) {
    last_shown_ = seconds();
    std::fprintf(stderr, terminal_ ? "\r\033[K%s" : "%s\n", line.c_str());
    std::fflush(stderr);
    line_open_ = terminal_;
}

void Progress::show(int64_t done, const std::string& details) {
    const double now = seconds();
    if (is_due(done, now)) print(progress_line(what_, first_, done, total_, details, now));
}

void Progress::count(int64_t done) {
    const double now = seconds();
    const bool is_short = last_shown_ < 0.0 && (now < kSilentStart || done == total_);
    if (is_short || !is_due(done, now)) return;
    const std::string rate = rate_text(static_cast<double>(done - first_) / now);
    print(progress_line(what_, first_, done, total_, rate, now));
}

void Progress::say(const std::string& message) {
    if (silent_) return;
    if (line_open_) std::fputs("\r\033[K", stderr);
    line_open_ = false;
    std::fprintf(stderr, "%s\n", message_line(message).c_str());
}

std::string progress_line(const std::string& what, int64_t first, int64_t done, int64_t total,
                          const std::string& details, double seconds) {
    std::string line = str(what, " ", done);
    if (total >= 0) line += str("/", total);
    if (!details.empty()) line += "  " + details;
    if (done == total) return line + "  in " + duration_text(seconds);
    if (total < 0 || done <= first) return line;
    const double left =
        seconds * static_cast<double>(total - done) / static_cast<double>(done - first);
    return line + "  " + duration_text(left) + " left";
}

std::string rate_text(double per_second) {
    const int decimals = per_second < 10.0 ? 2 : per_second < 100.0 ? 1 : 0;
    char text[32];
    std::snprintf(text, sizeof text, "%.*f per s", decimals, per_second);
    return text;
}

std::string duration_text(double seconds) {
    const auto whole = static_cast<int64_t>(std::max(seconds, 0.0) + 0.5);
    if (whole < 60) return str(whole, " s");
    if (whole < 3600) return str(whole / 60, " min ", whole % 60, " s");
    return str(whole / 3600, " h ", whole % 3600 / 60, " min");
}

}  // namespace vila::tools
