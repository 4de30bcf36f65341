#pragma once

// The results of a command: text on standard output, or in a file that an option names. Errors and
// progress go to stderr, so that a program can read the results.

#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "tensor/file.h"

namespace vila::tools {

// Returns whether an argument is "-", which stands for standard input or standard output.
bool is_standard_stream(const std::filesystem::path& path);

// Returns the path to write for an argument: /dev/stdout for "-". A file named "-" can be given as
// "./-".
std::filesystem::path output_path(const std::filesystem::path& argument);

// Writes a result to standard output at once. Throws FileError if not all of it can be written.
void print_text(std::string_view text);

// Writes text for people that may contain names or content of files: every control character but
// the line end is escaped, so that it cannot send control sequences to the terminal.
void print_description(std::string_view text);

// Closes standard output at the end of the program. Throws FileError if a result was lost.
void close_standard_output();

// A file of results, for arguments like --output. Construct it before long work, because the
// constructor throws FileError if the file cannot be written. The file gets its name in finish().
class ResultFile {
  public:
    // Writes nothing if `argument` is empty.
    explicit ResultFile(const std::filesystem::path& argument);

    bool is_wanted() const { return file_.has_value(); }
    void write(std::string_view text);
    void finish();

  private:
    std::optional<AtomicFile> file_;
};

// An argument and the name of its option; empty if it was not given.
struct NamedArgument {
    const char* name;
    const std::filesystem::path& value;
};
// Throws UsageError if two of the arguments are "-". Call it with all inputs of a command, or with
// all outputs.
void refuse_shared_stream(const std::vector<NamedArgument>& arguments);

}  // namespace vila::tools
