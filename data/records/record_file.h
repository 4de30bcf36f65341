#pragma once

// RecordFile: random access to the records of one text file. Opening scans the file once and keeps
// only the offsets of its records; text() reads one record. Files compressed by gzip are unpacked
// into memory as a whole.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/file.h"

namespace vila::data {

enum class RecordLayout {
    // The elements of one JSON array, or one JSON value per line; blank lines are skipped. As in
    // Python's text mode, lines end with LF, CR LF or CR alone.
    Json,
    // Plain text: documents separated by blank lines, or one document per line if there is no blank
    // line.
    Paragraphs,
};

class RecordFile {
  public:
    // Throws if the file cannot be read, if it is not text (an archive, UTF-16), or if a JSON array
    // in it is cut short. Does not parse the records.
    RecordFile(const std::filesystem::path& path, RecordLayout layout);

    int64_t size() const { return static_cast<int64_t>(begins_.size()); }
    // Returns the bytes of a record without surrounding white space. Safe to call from many
    // threads.
    std::string text(int64_t index) const;
    // Returns the place of a record for messages: "train.json[3]" for element 3 of an array,
    // counted from 0; "pairs.jsonl:7" for line 7, counted from 1.
    std::string where(int64_t index) const;

  private:
    class Scanner;
    void read_at(int64_t offset, char* destination, int64_t bytes) const;
    std::string start() const;  // the first bytes
    void index_lines(Scanner& scanner);
    void index_paragraphs(Scanner& scanner);
    void index_array(Scanner& scanner);
    void add(int64_t begin, int64_t end);

    std::filesystem::path path_;
    std::unique_ptr<RandomAccessFile> file_;
    std::string unpacked_;  // the content of a .gz file, in place of file_
    int64_t bytes_ = 0;
    bool is_array_ = false;
    bool is_line_each_ = true;  // record i is line i + 1
    std::vector<int64_t> begins_;
    std::vector<uint32_t> lengths_;
};

// The records of a file, or of all the files of a directory in the order of their names.
class RecordFiles {
  public:
    // Reads the file at `path`, or the files of that directory: see files_at(). Throws as
    // files_at() and RecordFile do, and if no file has a record.
    RecordFiles(const std::filesystem::path& path, RecordLayout layout,
                const std::vector<std::string>& extensions);

    int64_t size() const { return size_; }
    std::string text(int64_t index) const;
    std::string where(int64_t index) const;
    // Returns the files without a record, in the order of their names.
    const std::vector<std::filesystem::path>& empty_files() const { return empty_files_; }

  private:
    const RecordFile& file_of(int64_t& index) const;

    std::vector<std::unique_ptr<RecordFile>> files_;
    std::vector<int64_t> firsts_;  // index of each file's first record
    std::vector<std::filesystem::path> empty_files_;
    int64_t size_ = 0;
};

// Call it in the handler that caught `error`. Throws the error again if the record is not to blame
// and must not be left out: memory ran out, or a FileError says that the system failed to read a
// file (an error of the disk, no descriptor left). Returns for other errors, also for a file that
// is missing, may not be read, or is a directory.
void rethrow_system_failure(const std::exception& error);

// Returns the files of a path in the order of their names: the path itself if it is not a
// directory, else the files in it that end in one of `extensions` (".json"), or in that and ".gz",
// other than hidden ones. Throws if the directory has no such file, or a zip archive of one
// (".json.zip").
std::vector<std::filesystem::path> files_at(const std::filesystem::path& path,
                                            const std::vector<std::string>& extensions);

}  // namespace vila::data
