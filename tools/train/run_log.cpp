#include "tools/train/run_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "tensor/check.h"
#include "tensor/file.h"

namespace vila::tools {

namespace fs = std::filesystem;

namespace {

// Returns the lines of `text` up to and including those of `step`. Steps are ascending, so all
// lines after the first later step are dropped.
std::string lines_up_to(const std::string& text, int64_t step) {
    size_t end = 0;
    while (true) {
        const size_t newline = text.find('\n', end);
        if (newline == std::string::npos) break;
        const std::optional<Json> line =
            try_parse_json(std::string_view(text).substr(end, newline - end));
        if (!line || !line->is_object() || line->value("step", int64_t{0}) > step) break;
        end = newline + 1;
    }
    return text.substr(0, end);
}

}  // namespace

void for_each_logged_step(const fs::path& file,
                          const std::function<void(const Json& line)>& handle) {
    std::ifstream in(file);
    VILA_CHECK(in.good(), file.string(), ": cannot be opened; is this a run directory?");
    std::string text;
    for (int64_t number = 1; std::getline(in, text); ++number) {
        if (in.peek() == EOF && !try_parse_json(text)) break;
        const std::string where = str(file.string(), " line ", number);
        const Json line = parse_json(text, where);
        VILA_CHECK(line.is_object() && line.contains("step"), where,
                   ": expected an object with \"step\", got ", shown(line));
        handle(line);
    }
    VILA_CHECK(!in.bad(), file.string(), ": cannot be read to its end");
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
