#include "tensor/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "tensor/check.h"
#include "tensor/lfs_pointer.h"

namespace vila {

namespace fs = std::filesystem;

namespace {

[[noreturn]] void fail(const fs::path& path, const char* what) {
    const int code = errno;
    throw FileError(str(path.string(), ": ", what, ": ", std::strerror(code)), code);
}

// Closes a descriptor on every path. A descriptor that was only read needs no check of close().
class Descriptor {
  public:
    Descriptor(const fs::path& path, int flags, mode_t mode = 0)
        : value_(::open(path.c_str(), flags | O_CLOEXEC, mode)) {}
    ~Descriptor() {
        if (value_ >= 0) ::close(value_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int get() const { return value_; }

  private:
    int value_;
};

// Below the most that one read() or write() transfers on Linux.
constexpr int64_t kLargestTransfer = int64_t{1} << 30;

int64_t regular_file_size(int descriptor, const fs::path& path) {
    struct stat status = {};
    if (::fstat(descriptor, &status) != 0) fail(path, "cannot stat");
    VILA_CHECK(S_ISREG(status.st_mode), path.string(), ": not a regular file");
    return static_cast<int64_t>(status.st_size);
}

// A name in the same directory, so that rename() stays on one file system. The process id keeps
// two programs apart; the leftovers of a killed one are overwritten or recognizable by their name.
fs::path temporary_sibling(const fs::path& path) {
    fs::path clean = path.lexically_normal();
    if (!clean.has_filename()) clean = clean.parent_path();
    VILA_CHECK(clean.has_filename(), path.string(), ": not a name that can be written to");
    return clean.parent_path() / str(clean.filename().string(), ".tmp-", ::getpid());
}

fs::path directory_of(const fs::path& path) {
    const fs::path parent = path.parent_path();
    return parent.empty() ? fs::path(".") : parent;
}

void sync_path(const fs::path& path, int flags) {
    const Descriptor file(path, flags);
    if (file.get() < 0) fail(path, "cannot open to flush");
    if (::fsync(file.get()) != 0) fail(path, "cannot flush to disk");
}

}  // namespace

std::string read_file(const fs::path& path, int64_t max_bytes) {
    const RandomAccessFile file(path);
    VILA_CHECK(file.size() <= max_bytes, path.string(), ": ", file.size(),
               " bytes: expected at most ", max_bytes);
    std::string bytes(static_cast<size_t>(file.size()), '\0');
    file.read_at(0, bytes.data(), file.size());
    refuse_lfs_pointer(bytes, path);
    return bytes;
}

void write_file_atomic(const fs::path& path, std::string_view bytes) {
    AtomicFile file(path);
    file.write(bytes.data(), static_cast<int64_t>(bytes.size()));
    file.commit();
}

void sync_file(const fs::path& path) {
    sync_path(path, O_RDONLY);
}

void sync_directory(const fs::path& path) {
    sync_path(path, O_RDONLY | O_DIRECTORY);
}

AtomicFile::AtomicFile(const fs::path& path)
    : final_path_(path),
      temporary_path_(temporary_sibling(path)),
      descriptor_(::open(temporary_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)) {
    if (descriptor_ < 0) fail(temporary_path_, "cannot create");
}

AtomicFile::~AtomicFile() {
    if (descriptor_ < 0) return;
    ::close(descriptor_);
    ::unlink(temporary_path_.c_str());
}

void AtomicFile::write(const void* data, int64_t bytes) {
    VILA_ASSERT(descriptor_ >= 0);
    const char* next = static_cast<const char*>(data);
    while (bytes > 0) {
        const ssize_t written =
            ::write(descriptor_, next, static_cast<size_t>(std::min(bytes, kLargestTransfer)));
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) fail(temporary_path_, "cannot write");
        next += written;
        bytes -= written;
    }
}

void AtomicFile::commit() {
    VILA_ASSERT(descriptor_ >= 0);
    if (::fsync(descriptor_) != 0) fail(temporary_path_, "cannot flush to disk");
    const int closed = ::close(descriptor_);
    descriptor_ = -1;
    if (closed != 0 || ::rename(temporary_path_.c_str(), final_path_.c_str()) != 0) {
        const int code = errno;
        ::unlink(temporary_path_.c_str());
        errno = code;
        fail(final_path_, "cannot finish writing");
    }
    sync_directory(directory_of(final_path_));
}

AtomicDirectory::AtomicDirectory(const fs::path& path)
    : final_path_(path.lexically_normal()), temporary_path_(temporary_sibling(path)) {
    if (!final_path_.has_filename()) final_path_ = final_path_.parent_path();
    std::error_code error;
    fs::remove_all(temporary_path_, error);
    fs::create_directories(temporary_path_, error);
    VILA_CHECK(!error, temporary_path_.string(), ": cannot create: ", error.message());
}

AtomicDirectory::~AtomicDirectory() {
    std::error_code ignored;
    if (!committed_) fs::remove_all(temporary_path_, ignored);
}

void AtomicDirectory::commit() {
    VILA_ASSERT(!committed_);
    for (const auto& entry : fs::recursive_directory_iterator(temporary_path_)) {
        if (entry.is_directory()) {
            sync_directory(entry.path());
        } else {
            sync_file(entry.path());
        }
    }
    sync_directory(temporary_path_);
    const fs::path older = final_path_.string() + ".old";
    std::error_code error;
    if (fs::exists(final_path_)) {
        fs::remove_all(older, error);
        fs::rename(final_path_, older, error);
        VILA_CHECK(!error, final_path_.string(), ": cannot move aside: ", error.message());
    }
    fs::rename(temporary_path_, final_path_, error);
    VILA_CHECK(!error, final_path_.string(), ": cannot finish writing: ", error.message());
    committed_ = true;
    sync_directory(directory_of(final_path_));
    fs::remove_all(older, error);
}

RandomAccessFile::RandomAccessFile(const fs::path& path)
    : path_(path), descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (descriptor_ < 0) fail(path_, "cannot open");
    try {
        size_ = regular_file_size(descriptor_, path_);
    } catch (...) {
        ::close(descriptor_);
        throw;
    }
}

RandomAccessFile::~RandomAccessFile() {
    if (mapping_ != nullptr) ::munmap(mapping_, static_cast<size_t>(size_));
    ::close(descriptor_);
}

void RandomAccessFile::read_at(int64_t offset, void* destination, int64_t bytes) const {
    VILA_CHECK(offset >= 0 && bytes >= 0 && offset <= size_ - bytes, path_.string(), ": bytes [",
               offset, ", ", offset, " + ", bytes, ") are outside its ", size_, " bytes");
    char* next = static_cast<char*>(destination);
    while (bytes > 0) {
        const ssize_t got = ::pread(descriptor_, next,
                                    static_cast<size_t>(std::min(bytes, kLargestTransfer)), offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) fail(path_, "cannot read");
        VILA_CHECK(got > 0, path_.string(), ": the file became shorter while it was read");
        next += got;
        offset += got;
        bytes -= got;
    }
}

const unsigned char* RandomAccessFile::map() {
    if (mapping_ == nullptr && size_ > 0) {
        void* mapped =
            ::mmap(nullptr, static_cast<size_t>(size_), PROT_READ, MAP_PRIVATE, descriptor_, 0);
        if (mapped == MAP_FAILED) fail(path_, "cannot map into memory");
        // Asks for huge pages; harmless where the file system does not support them.
        static_cast<void>(::madvise(mapped, static_cast<size_t>(size_), MADV_HUGEPAGE));
        mapping_ = mapped;
    }
    return static_cast<const unsigned char*>(mapping_);
}

}  // namespace vila
