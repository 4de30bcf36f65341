#include "tools/base/output.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

namespace vila::tools {

namespace fs = std::filesystem;

namespace {

constexpr const char* kStandardOutput = "/dev/stdout";

[[noreturn]] void fail(int code) {
    throw FileError(str("standard output: cannot write: ", std::strerror(code)), code);
}

}  // namespace

bool is_standard_stream(const fs::path& path) {
    return path == "-";
}

fs::path output_path(const fs::path& argument) {
    return is_standard_stream(argument) ? fs::path(kStandardOutput) : argument;
}

void print_text(std::string_view text) {
    // Without the buffer of stdio, which loses text if standard output is in non-blocking mode.
    if (!write_all(STDOUT_FILENO, text.data(), static_cast<int64_t>(text.size()))) fail(errno);
}

void print_description(std::string_view text) {
    std::string escaped;
    while (true) {
        const size_t end = text.find('\n');
        escaped += one_line(text.substr(0, end));
        if (end == std::string_view::npos) break;
        escaped += '\n';
        text.remove_prefix(end + 1);
    }
    print_text(escaped);
}

void close_standard_output() {
    // Some file systems report a full disk only here.
    if (::close(STDOUT_FILENO) != 0 && errno != EBADF) fail(errno);
}

ResultFile::ResultFile(const fs::path& argument) {
    if (!argument.empty()) file_.emplace(output_path(argument));
}

void ResultFile::write(std::string_view text) {
    if (file_) file_->write(text.data(), static_cast<int64_t>(text.size()));
}

void ResultFile::finish() {
    if (file_) file_->commit();
}

void refuse_shared_stream(const std::vector<NamedArgument>& arguments) {
    const char* first = nullptr;
    for (const NamedArgument& argument : arguments) {
        if (!is_standard_stream(argument.value)) continue;
        if (first != nullptr)
            throw UsageError(str(first, " and ", argument.name, ": only one of them can be -"));
        first = argument.name;
    }
}

}  // namespace vila::tools
