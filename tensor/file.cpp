#include "tensor/file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "tensor/check.h"
#include "tensor/lfs_pointer.h"
#include "tensor/output_path.h"
#include "tensor/temporary_name.h"

namespace vila {

namespace fs = std::filesystem;

namespace {

[[noreturn]] void fail(const fs::path& path, const char* what) {
    const int code = errno;
    throw FileError(str(path.string(), ": ", what, ": ", std::strerror(code)), code);
}

// A descriptor that the destructor closes. The result of close() does not matter, because nothing
// is written to it.
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

// Gives a new file the owner, group and permissions of the one that it replaces, as far as this
// process may. If it may not set owner and group, it clears the set-user-id and set-group-id bits;
// if it may not even set the group, also the permissions of the group.
void take_over_owner(int descriptor, const struct stat& replaced) {
    struct stat made = {};
    if (::fstat(descriptor, &made) != 0) return;
    mode_t mode = replaced.st_mode & 07777;
    if ((made.st_uid != replaced.st_uid || made.st_gid != replaced.st_gid) &&
        ::fchown(descriptor, replaced.st_uid, replaced.st_gid) != 0) {
        mode &= ~static_cast<mode_t>(S_ISUID | S_ISGID);
        // An owner may change the group to any of its own.
        if (::fchown(descriptor, static_cast<uid_t>(-1), replaced.st_gid) != 0) mode &= ~S_IRWXG;
    }
    static_cast<void>(::fchmod(descriptor, mode));
}

fs::path directory_of(const fs::path& path) {
    const fs::path parent = path.parent_path();
    return parent.empty() ? fs::path(".") : parent;
}

// "model/" -> "model"
fs::path without_trailing_slash(const fs::path& path) {
    const fs::path clean = path.lexically_normal();
    return clean.has_filename() ? clean : clean.parent_path();
}

// Removes folders, given the outermost first, unless other files were put into them.
void remove_if_empty(const std::vector<fs::path>& folders) {
    for (auto folder = folders.rbegin(); folder != folders.rend(); ++folder)
        ::rmdir(folder->c_str());
}

void sync_path(const fs::path& path, int flags) {
    const Descriptor file(path, flags);
    if (file.get() < 0) fail(path, "cannot open to flush");
    if (::fsync(file.get()) != 0) fail(path, "cannot flush to disk");
}

}  // namespace

bool write_all(int descriptor, const char* data, int64_t bytes) {
    const char* next = data;
    while (bytes > 0) {
        const ssize_t written =
            ::write(descriptor, next, static_cast<size_t>(std::min(bytes, kLargestTransfer)));
        if (written < 0 && errno == EAGAIN) {
            pollfd writable = {.fd = descriptor, .events = POLLOUT, .revents = 0};
            ::poll(&writable, 1, -1);
            continue;
        }
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return false;
        next += written;
        bytes -= written;
    }
    return true;
}

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

AtomicFile::AtomicFile(const fs::path& path) : name_(path) {
    OutputPath output = find_output_path(path);
    final_path_ = std::move(output.file);
    descriptor_ = output.stream;
    if (descriptor_ >= 0) return;
    // A file that replaces a private one is private from the start.
    const mode_t mode = output.replaced ? S_IRUSR | S_IWUSR : 0666;
    for (int attempt = 0; descriptor_ < 0; ++attempt) {
        temporary_path_ = temporary_sibling(final_path_, attempt);
        // Another file of this name is neither followed nor replaced.
        descriptor_ =
            ::open(temporary_path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (descriptor_ < 0 && (errno != EEXIST || attempt == kMaxTemporaryNames))
            fail(name_, "cannot create a file in this folder");
    }
    if (output.replaced) take_over_owner(descriptor_, *output.replaced);
}

AtomicFile::~AtomicFile() {
    if (descriptor_ < 0) return;
    ::close(descriptor_);
    if (!is_stream()) ::unlink(temporary_path_.c_str());
}

void AtomicFile::write(const void* data, int64_t bytes) {
    VILA_ASSERT(descriptor_ >= 0);
    if (!write_all(descriptor_, static_cast<const char*>(data), bytes)) fail(name_, "cannot write");
}

void AtomicFile::commit() {
    VILA_ASSERT(descriptor_ >= 0);
    if (!is_stream() && ::fsync(descriptor_) != 0) fail(name_, "cannot flush to disk");
    const int closed = ::close(descriptor_);
    descriptor_ = -1;
    if (is_stream()) {
        if (closed != 0) fail(name_, "cannot finish writing");
        return;
    }
    if (closed != 0 || ::rename(temporary_path_.c_str(), final_path_.c_str()) != 0) {
        const int code = errno;
        ::unlink(temporary_path_.c_str());
        errno = code;
        fail(name_, "cannot finish writing");
    }
    sync_directory(directory_of(final_path_));
}

AtomicDirectory::AtomicDirectory(const fs::path& path)
    : final_path_(follow_links(without_trailing_slash(path))) {
    VILA_CHECK(final_path_.has_filename(), path.string(), ": not a name that can be written to");
    check_output_directory(without_trailing_slash(path));
    try {
        create_parents();
        OpenDirectory made = make_temporary_directory(final_path_);
        temporary_path_ = std::move(made.path);
        descriptor_ = made.descriptor;
    } catch (...) {
        remove_if_empty(created_parents_);
        throw;
    }
}

AtomicDirectory::~AtomicDirectory() {
    if (!committed_) {
        std::error_code ignored;
        fs::remove_all(temporary_path_, ignored);
        remove_if_empty(created_parents_);
    }
    if (descriptor_ >= 0) ::close(descriptor_);
}

void AtomicDirectory::create_parents() {
    std::error_code error;
    std::vector<fs::path> missing;  // the innermost first
    for (fs::path parent = directory_of(final_path_); !fs::exists(parent, error);
         parent = directory_of(parent))
        missing.push_back(parent);
    for (auto parent = missing.rbegin(); parent != missing.rend(); ++parent) {
        const bool created = fs::create_directory(*parent, error);
        VILA_CHECK(!error, parent->string(), ": cannot create: ", error.message());
        if (created) created_parents_.push_back(*parent);
    }
}

void AtomicDirectory::commit(bool flush) {
    VILA_ASSERT(!committed_);
    if (flush) sync_content();
    struct stat replaced = {};
    if (::stat(final_path_.c_str(), &replaced) == 0 && descriptor_ >= 0)
        take_over_owner(descriptor_, replaced);
    // Replaces nothing but an empty directory.
    if (::rename(temporary_path_.c_str(), final_path_.c_str()) != 0)
        fail(final_path_, "cannot finish writing");
    committed_ = true;
    sync_directory(directory_of(final_path_));
}

void AtomicDirectory::sync_content() const {
    for (const auto& entry : fs::recursive_directory_iterator(temporary_path_)) {
        if (entry.is_directory()) {
            sync_directory(entry.path());
        } else {
            sync_file(entry.path());
        }
    }
    sync_directory(temporary_path_);
}

RandomAccessFile::RandomAccessFile(const fs::path& path) : path_(path) {
    VILA_CHECK(path.native().find('\0') == std::string::npos, path.string(),
               ": the name has a NUL byte");
    descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
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
