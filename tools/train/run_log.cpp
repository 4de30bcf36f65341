#include "tools/train/run_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "tensor/check.h"
#include "tensor/file.h"

namespace vila::tools {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kMostLogBytes = int64_t{4} << 30;

// Returns whether `line` is the log line of `step` or of an earlier step.
bool is_up_to(std::string_view line, int64_t step) {
    const std::optional<Json> json = try_parse_json(line);
    if (!json || !json->is_object()) return false;
    const auto found = json->find("step");
    return found != json->end() && found->is_number() &&
           found->get<double>() <= static_cast<double>(step);
}

// Returns `text` up to the last complete line of `step` or an earlier step. Other lines before that
// one are kept, because a user may have added them.
std::string lines_up_to(const std::string& text, int64_t step) {
    size_t kept = 0;
    for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos;
         begin = end + 1)
        if (is_up_to(std::string_view(text).substr(begin, end - begin), step)) kept = end + 1;
    return text.substr(0, kept);
}

}  // namespace

void for_each_logged_step(const fs::path& file,
                          const std::function<void(const JsonFields& line)>& handle) {
    // A log has about 250 bytes per step, so it fits into memory.
    const std::string text = read_file(file, kMostLogBytes);
    int64_t number = 0;
    for (size_t begin = 0, end; begin < text.size(); begin = end + 1) {
        end = std::min(text.find('\n', begin), text.size());
        const std::string_view written = std::string_view(text).substr(begin, end - begin);
        const std::string where = str(file.string(), " line ", ++number);
        const bool is_last = end + 1 >= text.size();
        if (is_last && !try_parse_json(written)) break;
        const Json line = parse_json(written, where);
        VILA_CHECK(line.is_object() && line.contains("step"), where,
                   ": expected an object with \"step\", got ", shown(line));
        handle(JsonFields(line, where));
    }
}

RunLog::RunLog(fs::path file, int64_t step) : file_(std::move(file)) {
    if (fs::exists(file_)) {
        const std::string text = read_file(file_);
        const std::string kept = lines_up_to(text, step);
        if (kept.size() != text.size()) write_file_atomic(file_, kept);
    }
    descriptor_ = ::open(file_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    VILA_CHECK(descriptor_ >= 0, file_.string(), ": cannot open: ", std::strerror(errno));
}

RunLog::~RunLog() {
    flush();
    ::close(descriptor_);
}

void RunLog::write(const Json& line) {
    waiting_ += line.dump() + "\n";
    flush();
}

void RunLog::flush() {
    while (!waiting_.empty()) {
        const ssize_t written = ::write(descriptor_, waiting_.data(), waiting_.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return;
        waiting_.erase(0, static_cast<size_t>(written));
    }
}

bool RunLog::sync() {
    flush();
    return ::fsync(descriptor_) == 0 && waiting_.empty();
}

}  // namespace vila::tools
