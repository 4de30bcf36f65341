#pragma once

// Text files as arguments: read by lines or whole, from a file, a named pipe, or standard input for
// "-". Unlike std::istream, these functions report a read error instead of taking it for the end of
// the file.

#include <cstdint>
#include <filesystem>
#include <string>

namespace vila::tools {

class LineReader {
  public:
    // Throws FileError, which names the file, if it cannot be opened, and Error for a named pipe
    // that no program opens for writing within 2 s.
    explicit LineReader(const std::filesystem::path& argument);
    ~LineReader();
    LineReader(const LineReader&) = delete;
    LineReader& operator=(const LineReader&) = delete;

    // Reads the next line, without its line end. Returns false at the end of the file. Throws if
    // the system reports an error, or for a line of more than 256 MiB.
    bool next(std::string& line);
    // Reads everything that next() has not returned yet, at most 256 MiB.
    std::string rest();
    // Returns whether a whole line is in memory, so that next() need not wait for input.
    bool has_line() const { return buffer_.find('\n', begin_) != std::string::npos; }
    // The file and the line that next() returned last: "FILE line 3", "standard input line 3".
    std::string where() const;

  private:
    void wait_for_writer();
    bool fill();

    std::string name_;
    int descriptor_;
    bool is_own_ = true;
    std::string buffer_;
    size_t begin_ = 0;    // where the next line starts in buffer_
    size_t scanned_ = 0;  // no line end between begin_ and here
    int64_t number_ = 0;
    bool at_end_ = false;
};

// Returns the number of lines of a regular file that are not blank; -1 for standard input and
// pipes, which can be read only once.
int64_t count_lines(const std::filesystem::path& argument);

// Reads a whole text file. Throws if it cannot be read or has more than 256 MiB.
std::string read_text(const std::filesystem::path& argument);

// "standard input" for "-", else the argument.
std::string input_name(const std::filesystem::path& argument);

}  // namespace vila::tools
