#include "dist/file_ranks.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "tensor/check.h"
#include "tensor/file.h"

namespace vila::dist {

namespace fs = std::filesystem;

namespace {

constexpr auto kPollInterval = std::chrono::milliseconds(5);

// Reads exactly `bytes` bytes; returns false if the file has fewer.
bool read_exactly(int descriptor, char* data, int64_t bytes, int64_t offset) {
    while (bytes > 0) {
        const ssize_t got = ::pread(descriptor, data, static_cast<size_t>(bytes), offset);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        data += got;
        offset += got;
        bytes -= got;
    }
    return true;
}

// Appends to a file and closes it: a network file system then shows the text to other machines.
void append(const fs::path& file, int flags, const std::string& text) {
    const int descriptor = ::open(file.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | flags, 0644);
    const bool written =
        descriptor >= 0 && write_all(descriptor, text.data(), static_cast<int64_t>(text.size()));
    const int code = errno;
    if (descriptor >= 0) ::close(descriptor);
    if (!written)
        throw FileError(str(file.string(), ": cannot write: ", std::strerror(code)), code);
}

}  // namespace

FileRanks::FileRanks(fs::path folder, int64_t rank, int64_t ranks)
    : folder_(std::move(folder)), rank_(rank), read_(static_cast<size_t>(ranks)) {
    if (ranks == 1) return;
    append(file_of(rank_), O_CREAT | O_TRUNC, "");
    lock_ = ::open(file_of(rank_).c_str(), O_RDONLY | O_CLOEXEC);
    if (lock_ >= 0) ::flock(lock_, LOCK_EX | LOCK_NB);
}

FileRanks::~FileRanks() {
    if (ranks() == 1) return;
    std::error_code ignored;
    fs::remove(file_of(rank_), ignored);
    if (lock_ >= 0) ::close(lock_);
}

fs::path FileRanks::file_of(int64_t rank) const {
    return folder_ / str("messages-", rank);
}

void FileRanks::try_locks(Collectives& ranks) {
    // Each rank tests the lock of the next one. If the ranks are on several machines, at least one
    // of these pairs is on two machines.
    sees_locks_ = all_of(ranks, is_locked((rank_ + 1) % this->ranks()));
}

bool FileRanks::is_locked(int64_t rank) const {
    const int file = ::open(file_of(rank).c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    const bool locked = ::flock(file, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    ::close(file);
    return locked;
}

void FileRanks::send(const void* data, int64_t bytes) {
    if (ranks() == 1) return;
    // The length comes first, so that a reader knows when the message is complete.
    std::string message(sizeof bytes + static_cast<size_t>(bytes), '\0');
    std::memcpy(message.data(), &bytes, sizeof bytes);
    if (bytes > 0) std::memcpy(message.data() + sizeof bytes, data, static_cast<size_t>(bytes));
    append(file_of(rank_), 0, message);
}

bool FileRanks::try_receive(int64_t rank, void* data, int64_t bytes) {
    // Opened anew each time: a network file system then looks for new data.
    const int file = ::open(file_of(rank).c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    int64_t& offset = read_[static_cast<size_t>(rank)];
    int64_t length = 0;
    const bool begun = read_exactly(file, reinterpret_cast<char*>(&length), sizeof length, offset);
    const bool complete = begun && length == bytes &&
                          read_exactly(file, static_cast<char*>(data), bytes,
                                       offset + static_cast<int64_t>(sizeof length));
    ::close(file);
    VILA_CHECK(!begun || length == bytes, "[file_ranks] rank ", rank, " sent ", length,
               " bytes: expected ", bytes);
    if (complete) offset += static_cast<int64_t>(sizeof length) + bytes;
    return complete;
}

void FileRanks::receive(int64_t rank, void* data, int64_t bytes) {
    const auto start = std::chrono::steady_clock::now();
    while (!try_receive(rank, data, bytes)) {
        // The rank may have sent the message and ended after try_receive().
        if (sees_locks_ && !is_locked(rank)) {
            if (try_receive(rank, data, bytes)) return;
            throw RankEnded(str("rank ", rank, " has ended"));
        }
        const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - start;
        VILA_CHECK(limit_ <= 0.0 || waited.count() < limit_, "rank ", rank, " did not answer for ",
                   limit_, " s");
        std::this_thread::sleep_for(kPollInterval);
    }
}

void FileRanks::do_all_gather(const void* in, void* out, int64_t bytes) {
    if (ranks() == 1) {
        if (bytes > 0) std::memmove(out, in, static_cast<size_t>(bytes));
        return;
    }
    send(in, bytes);
    for (int64_t rank = 0; rank < ranks(); ++rank)
        receive(rank, static_cast<char*>(out) + rank * bytes, bytes);
}

void FileRanks::do_barrier() {
    std::vector<char> all(static_cast<size_t>(ranks()));
    do_all_gather(all.data(), all.data(), 1);
}

void FileRanks::do_broadcast(void* data, int64_t bytes, int64_t root) {
    std::vector<char> all(static_cast<size_t>(ranks() * bytes));
    do_all_gather(data, all.data(), bytes);
    if (bytes > 0) std::memcpy(data, all.data() + root * bytes, static_cast<size_t>(bytes));
}

void FileRanks::do_all_to_all(const void* in, void* out, int64_t bytes) {
    const int64_t total = ranks() * bytes;
    std::vector<char> all(static_cast<size_t>(ranks() * total));
    do_all_gather(in, all.data(), total);
    for (int64_t rank = 0; rank < ranks() && bytes > 0; ++rank)
        std::memcpy(static_cast<char*>(out) + rank * bytes,
                    all.data() + rank * total + rank_ * bytes, static_cast<size_t>(bytes));
}

}  // namespace vila::dist
