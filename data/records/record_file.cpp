#include "data/records/record_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <new>

#include "data/records/gzip.h"
#include "data/records/text_file.h"
#include "tensor/check.h"
#include "tensor/device.h"
#include "tensor/path_kind.h"

namespace vila::data {

namespace {

constexpr int64_t kBlockBytes = int64_t{1} << 20;

// In text with the line ends of any system: LF, CR LF, or CR alone.
bool is_line_end(char c) {
    return c == '\n' || c == '\r';
}

bool is_blank(char c) {
    return c == ' ' || c == '\t' || is_line_end(c);
}

}  // namespace

// Reads the bytes of a file in order, a block at a time.
class RecordFile::Scanner {
  public:
    explicit Scanner(const RecordFile& file) : file_(file) {}

    bool at_end() const { return offset_ >= file_.bytes_; }
    int64_t offset() const { return offset_; }
    void seek(int64_t offset) {
        offset_ = offset;
        return_ = -1;
    }
    // Returns the next byte. Must not be called at the end.
    char peek() {
        if (offset_ < block_begin_ || offset_ >= block_end_) load();
        return block_[offset_ - block_begin_];
    }
    char take() {
        const char c = peek();
        ++offset_;
        return c;
    }
    void skip_blanks() {
        while (!at_end() && is_blank(peek())) ++offset_;
    }
    void skip_blanks_in_line() {
        while (!at_end() && is_blank(peek()) && !is_line_end(peek())) ++offset_;
    }
    // Moves past the next line end, or to the end of the file.
    void skip_line() {
        while (!at_end()) {
            peek();
            if (return_ < offset_) return_ = find('\r', block_end_);
            const int64_t end = find('\n', return_);
            offset_ = std::min(end + 1, block_end_);
            if (end == block_end_) continue;
            const bool is_pair = end == return_ && !at_end() && peek() == '\n';
            if (is_pair) ++offset_;
            return;
        }
    }

  private:
    // Returns the offset of the next `c` in the block, or `end` if there is none before.
    int64_t find(char c, int64_t end) const {
        const char* begin = block_.data() + (offset_ - block_begin_);
        const auto* found =
            static_cast<const char*>(std::memchr(begin, c, static_cast<size_t>(end - offset_)));
        return found == nullptr ? end : offset_ + (found - begin);
    }

    void load() {
        return_ = -1;
        block_begin_ = offset_;
        block_end_ = std::min(file_.bytes_, offset_ + kBlockBytes);
        block_.resize(block_end_ - block_begin_);
        file_.read_at(block_begin_, block_.data(), block_end_ - block_begin_);
    }

    const RecordFile& file_;
    std::vector<char> block_;
    int64_t block_begin_ = 0, block_end_ = 0, offset_ = 0;
    int64_t return_ = -1;  // of the next CR in the block, or its end; less than offset_: not known
};

RecordFile::RecordFile(const std::filesystem::path& path, RecordLayout layout) : path_(path) {
    file_ = std::make_unique<RandomAccessFile>(path);
    bytes_ = file_->size();
    if (is_gzip(start())) {
        unpacked_ = read_gzip(path);
        file_.reset();
        bytes_ = static_cast<int64_t>(unpacked_.size());
    }
    check_is_text(start(), path.string());
    Scanner scanner(*this);
    char mark[3] = {};
    if (bytes_ >= 3) read_at(0, mark, 3);
    if (std::memcmp(mark, "\xEF\xBB\xBF", 3) == 0) scanner.seek(3);  // byte order mark
    const int64_t begin = scanner.offset();
    scanner.skip_blanks();
    is_array_ = layout == RecordLayout::Json && !scanner.at_end() && scanner.peek() == '[';
    if (is_array_) {
        index_array(scanner);
        return;
    }
    scanner.seek(begin);
    if (layout == RecordLayout::Json)
        index_lines(scanner);
    else
        index_paragraphs(scanner);
}

void RecordFile::read_at(int64_t offset, char* destination, int64_t bytes) const {
    if (file_)
        file_->read_at(offset, destination, bytes);
    else
        std::memcpy(destination, unpacked_.data() + offset, static_cast<size_t>(bytes));
}

std::string RecordFile::start() const {
    std::string start(std::min(static_cast<size_t>(bytes_), kStartBytes), '\0');
    read_at(0, start.data(), static_cast<int64_t>(start.size()));
    return start;
}

void RecordFile::add(int64_t begin, int64_t end) {
    VILA_CHECK(end - begin <= int64_t{std::numeric_limits<uint32_t>::max()}, path_.string(),
               " has a record of ", end - begin, " bytes at offset ", begin,
               ": expected less than 4 GiB");
    begins_.push_back(begin);
    lengths_.push_back(static_cast<uint32_t>(end - begin));
}

void RecordFile::index_lines(Scanner& scanner) {
    while (!scanner.at_end()) {
        scanner.skip_blanks_in_line();
        const int64_t begin = scanner.offset();
        const bool blank = scanner.at_end() || is_line_end(scanner.peek());
        scanner.skip_line();
        if (!blank) add(begin, scanner.offset());
        if (blank) is_line_each_ = false;
    }
}

void RecordFile::index_paragraphs(Scanner& scanner) {
    const int64_t start = scanner.offset();
    int64_t begin = -1;  // of the current paragraph; -1 between paragraphs
    int64_t lines = 0;
    while (!scanner.at_end()) {
        const int64_t line = scanner.offset();
        scanner.skip_blanks_in_line();
        const bool blank = scanner.at_end() || is_line_end(scanner.peek());
        if (blank && begin >= 0) add(begin, line);
        if (blank || begin < 0) begin = blank ? -1 : scanner.offset();
        if (!blank) ++lines;
        scanner.skip_line();
    }
    if (begin >= 0) add(begin, bytes_);
    is_line_each_ = size() <= 1 && lines > 1;
    if (!is_line_each_) return;
    begins_.clear();
    lengths_.clear();
    scanner.seek(start);
    index_lines(scanner);
}

void RecordFile::index_array(Scanner& scanner) {
    const auto cut_short = [&] {
        return Error(str(path_.string(), " is cut short: its JSON array is not closed after ",
                         size(), " records"));
    };
    scanner.take();
    scanner.skip_blanks();
    int64_t depth = 1;
    int64_t begin = scanner.offset();
    while (depth > 0) {
        if (scanner.at_end()) throw cut_short();
        const char c = scanner.take();
        if (c == '"') {
            while (true) {
                if (scanner.at_end()) throw cut_short();
                const char inside = scanner.take();
                if (inside == '"') break;
                if (inside == '\\' && !scanner.at_end()) scanner.take();
            }
        } else if (c == '[' || c == '{') {
            ++depth;
        } else if (c == ']' || c == '}') {
            --depth;
            const bool is_empty = begins_.empty() && scanner.offset() - 1 == begin;
            if (depth == 0 && !is_empty) add(begin, scanner.offset() - 1);
        } else if (c == ',' && depth == 1) {
            add(begin, scanner.offset() - 1);
            scanner.skip_blanks();
            begin = scanner.offset();
        }
    }
    scanner.skip_blanks();
    VILA_CHECK(scanner.at_end(), path_.string(), " has text after its JSON array, at offset ",
               scanner.offset());
}

std::string RecordFile::text(int64_t index) const {
    VILA_CHECK(index >= 0 && index < size(), "record ", index, " of ", path_.string(),
               ", which has ", size());
    std::string text(lengths_[index], '\0');
    read_at(begins_[index], text.data(), lengths_[index]);
    while (!text.empty() && is_blank(text.back())) text.pop_back();
    return text;
}

std::string RecordFile::where(int64_t index) const {
    if (is_array_) return str(path_.string(), "[", index, "]");
    if (is_line_each_) return str(path_.string(), ":", index + 1);
    int64_t line = 1;
    Scanner scanner(*this);
    for (scanner.skip_line(); scanner.offset() <= begins_.at(index) && !scanner.at_end();
         scanner.skip_line())
        ++line;
    return str(path_.string(), ":", line);
}

void rethrow_system_failure(const std::exception& error) {
    if (dynamic_cast<const std::bad_alloc*>(&error) || dynamic_cast<const OutOfMemory*>(&error))
        throw;
    const auto* failure = dynamic_cast<const FileError*>(&error);
    if (failure == nullptr) return;
    switch (failure->code()) {
        case ENOENT:
        case ENOTDIR:
        case EISDIR:
        case EACCES:
        case EPERM:
        case ELOOP:
        case ENAMETOOLONG:
        case EINVAL:  // a name with a zero byte
        case ENXIO:   // a device or socket that is not there
            return;
        default:
            throw;
    }
}

std::vector<std::filesystem::path> files_at(const std::filesystem::path& path,
                                            const std::vector<std::string>& extensions) {
    if (!directory_exists(path)) return {path};
    const auto counts = [&](std::filesystem::path file) {
        if (file.extension() == ".gz") file = file.stem();
        return std::find(extensions.begin(), extensions.end(), file.extension()) !=
               extensions.end();
    };
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
        const std::filesystem::path name = entry.path().filename();
        // Hidden files are not data: macOS writes a "._x" beside each file x.
        if (name.string().starts_with('.')) continue;
        VILA_CHECK(name.extension() != ".zip" || !counts(name.stem()), entry.path().string(),
                   " is a zip archive: unpack it (unzip FILE), or move it elsewhere");
        if (counts(name) && !directory_exists(entry.path())) files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    std::string wanted;
    for (const std::string& extension : extensions) wanted += " *" + extension;
    VILA_CHECK(!files.empty(), path.string(), " holds no data: expected files like", wanted);
    return files;
}

RecordFiles::RecordFiles(const std::filesystem::path& path, RecordLayout layout,
                         const std::vector<std::string>& extensions) {
    for (const auto& file : files_at(path, extensions)) {
        firsts_.push_back(size_);
        files_.push_back(std::make_unique<RecordFile>(file, layout));
        size_ += files_.back()->size();
        if (files_.back()->size() == 0) empty_files_.push_back(file);
    }
    VILA_CHECK(size_ > 0, path.string(), " is empty: expected at least one record");
}

const RecordFile& RecordFiles::file_of(int64_t& index) const {
    VILA_CHECK(index >= 0 && index < size_, "record ", index, ": expected 0 to ", size_ - 1);
    const auto above = std::upper_bound(firsts_.begin(), firsts_.end(), index);
    const int64_t file = above - firsts_.begin() - 1;
    index -= firsts_[file];
    return *files_[file];
}

std::string RecordFiles::text(int64_t index) const {
    const RecordFile& file = file_of(index);
    return file.text(index);
}

std::string RecordFiles::where(int64_t index) const {
    const RecordFile& file = file_of(index);
    return file.where(index);
}

}  // namespace vila::data
