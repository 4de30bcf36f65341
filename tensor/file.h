#pragma once

// Files, read whole or mapped, and written atomically: data goes to a temporary file in the same
// directory, is flushed to the disk, and then gets its final name. Every error names the path and
// gives the message of the system.
//
// Not here: formats (safetensors.h) and names inside a run directory (tools/).

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/check.h"

namespace vila {

// The system reported an error: the file does not exist, cannot be read, the disk is full.
class FileError : public Error {
  public:
    FileError(const std::string& message, int code) : Error(message), code_(code) {}
    int code() const { return code_; }  // errno

  private:
    int code_;
};

// Returns the bytes of a whole file. Throws if it cannot be read, exceeds `max_bytes`, or is a
// Git LFS pointer.
std::string read_file(const std::filesystem::path& path, int64_t max_bytes = int64_t{1} << 40);

// Writes exactly these bytes to `path`, or leaves the old content. Follows links and writes into
// devices and pipes as AtomicFile does.
void write_file_atomic(const std::filesystem::path& path, std::string_view bytes);

// Writes all bytes to a descriptor, also one in non-blocking mode. Returns false, with errno set,
// if the system reports an error.
bool write_all(int descriptor, const char* data, int64_t bytes);

// Flush a file or directory to the disk, so that its content survives a power cut. For a new or
// renamed file, flush its directory too.
void sync_file(const std::filesystem::path& path);
void sync_directory(const std::filesystem::path& path);

// A file that is being written: call write() as often as needed; then commit() gives it its name.
// Without commit() the destructor removes the file. If `path` is a symbolic link, the link stays
// and its target is replaced. The new file takes over mode and owner of the one it replaces.
// Devices, named pipes and /dev/stdout are written directly.
class AtomicFile {
  public:
    // Throws FileError if `path` cannot be written, as find_output_path() (output_path.h) does.
    explicit AtomicFile(const std::filesystem::path& path);
    ~AtomicFile();
    AtomicFile(const AtomicFile&) = delete;
    AtomicFile& operator=(const AtomicFile&) = delete;

    void write(const void* data, int64_t bytes);
    // Flushes to the disk and renames over the final name; call once.
    void commit();
    // Returns whether write() goes to a device or pipe, where written bytes cannot be removed.
    bool is_stream() const { return temporary_path_.empty(); }

  private:
    std::filesystem::path name_;  // as given, for messages
    std::filesystem::path final_path_;
    std::filesystem::path temporary_path_;  // empty for a stream
    int descriptor_ = -1;
};

// A directory that is being written: put files into path(), then commit() syncs all of them and
// renames the directory to its final name. It replaces only an empty directory, whose mode and
// owner it takes over. If `path` is a symbolic link, the link stays and its target is made. Without
// commit() the destructor removes the directory, and the folders above it that the constructor had
// to create.
class AtomicDirectory {
  public:
    // Throws if anything but an empty directory has the name, or if it cannot be written.
    explicit AtomicDirectory(const std::filesystem::path& path);
    ~AtomicDirectory();
    AtomicDirectory(const AtomicDirectory&) = delete;
    AtomicDirectory& operator=(const AtomicDirectory&) = delete;

    const std::filesystem::path& path() const { return temporary_path_; }
    // With `flush` false the files are not forced to the disk: after a power cut some may be empty.
    // Throws if the name has been taken meanwhile, except by an empty directory.
    void commit(bool flush = true);

  private:
    void create_parents();
    void sync_content() const;

    std::filesystem::path final_path_;
    std::vector<std::filesystem::path> created_parents_;  // the outermost first
    std::filesystem::path temporary_path_;
    int descriptor_ = -1;  // open while the directory is made: see remove_own_temporaries()
    bool committed_ = false;
};

// An open file for reads at any offset. The size is read when the file is opened; if the file
// shrinks later, read_at throws and never returns fewer bytes.
class RandomAccessFile {
  public:
    explicit RandomAccessFile(const std::filesystem::path& path);
    ~RandomAccessFile();
    RandomAccessFile(const RandomAccessFile&) = delete;
    RandomAccessFile& operator=(const RandomAccessFile&) = delete;

    const std::filesystem::path& path() const { return path_; }
    int64_t size() const { return size_; }
    void read_at(int64_t offset, void* destination, int64_t bytes) const;
    // The whole file as read-only memory, mapped on the first call; valid as long as this object.
    // Unlike read_at, access after another program shrank the file ends this program (SIGBUS).
    const unsigned char* map();

  private:
    std::filesystem::path path_;
    int descriptor_ = -1;
    int64_t size_ = 0;
    void* mapping_ = nullptr;
};

}  // namespace vila
