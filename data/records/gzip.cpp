#include "data/records/gzip.h"

#include "tensor/check.h"

#ifdef VILA_HAVE_ZLIB

#include <zlib.h>

#include <algorithm>
#include <new>
#include <utility>
#include <vector>

#include "tensor/file.h"

namespace vila::data {

namespace {

constexpr int64_t kBlockBytes = int64_t{1} << 18;
constexpr int kGzipFormat = 15 + 16;  // the largest window, and the header of gzip

// A small file must not fill the memory. Text shrinks to a tenth, rarely to a fiftieth.
constexpr int64_t kLargestRatio = 200;
constexpr int64_t kAlwaysAllowed = int64_t{256} << 20;

// Unpacks the members of a gzip file one after the other.
class Unpacker {
  public:
    explicit Unpacker(const std::filesystem::path& path)
        : file_(path), block_(kBlockBytes), unpacked_(kBlockBytes) {
        if (inflateInit2(&stream_, kGzipFormat) != Z_OK) throw std::bad_alloc();
    }
    ~Unpacker() { inflateEnd(&stream_); }
    Unpacker(const Unpacker&) = delete;
    Unpacker& operator=(const Unpacker&) = delete;

    std::string unpack() {
        do {
            unpack_member();
        } while (find_member());
        return std::move(content_);
    }

  private:
    // Offset of the next byte to unpack.
    int64_t offset() const { return read_ - static_cast<int64_t>(stream_.avail_in); }

    // Reads a block if all bytes before it are unpacked. Returns false at the end of the file.
    bool fill() {
        if (stream_.avail_in > 0) return true;
        const int64_t bytes = std::min(kBlockBytes, file_.size() - read_);
        file_.read_at(read_, block_.data(), bytes);
        read_ += bytes;
        stream_.next_in = block_.data();
        stream_.avail_in = static_cast<uInt>(bytes);
        return bytes > 0;
    }

    void unpack_member() {
        inflateReset(&stream_);
        int code = Z_OK;
        while (code != Z_STREAM_END) {
            const bool has_input = fill();
            stream_.next_out = unpacked_.data();
            stream_.avail_out = static_cast<uInt>(unpacked_.size());
            code = inflate(&stream_, Z_NO_FLUSH);
            if (code == Z_BUF_ERROR && !has_input) fail("it is cut short");
            if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
                fail(stream_.msg != nullptr ? stream_.msg : zError(code));
            content_.append(reinterpret_cast<const char*>(unpacked_.data()),
                            unpacked_.size() - stream_.avail_out);
            check_size();
        }
    }

    // Skips the zeros that block devices add. Returns false at the end of the file.
    bool find_member() {
        const int64_t end = offset();
        for (; fill() && *stream_.next_in == 0; --stream_.avail_in) ++stream_.next_in;
        if (!fill()) return false;
        constexpr Bytef kFirstByte = 0x1F;
        if (*stream_.next_in != kFirstByte)
            fail(str("it goes on after its last gzip member with something else, at byte ",
                     offset(), "; `head -c ", end, "` gives the part before that"));
        return true;
    }

    void check_size() const {
        const auto bytes = static_cast<int64_t>(content_.size());
        if (bytes > kAlwaysAllowed && bytes / kLargestRatio > file_.size())
            fail(str("it unpacks to more than ", kLargestRatio,
                     " times its size; if that is right, unpack it with gunzip"));
    }

    [[noreturn]] void fail(const std::string& reason) const {
        throw Error(str("cannot unpack ", file_.path().string(), ": ", reason));
    }

    RandomAccessFile file_;
    int64_t read_ = 0;
    std::vector<Bytef> block_, unpacked_;
    z_stream stream_ = {};
    std::string content_;
};

}  // namespace

bool has_gzip() {
    return true;
}

std::string read_gzip(const std::filesystem::path& path) {
    return Unpacker(path).unpack();
}

}  // namespace vila::data

#else

namespace vila::data {

bool has_gzip() {
    return false;
}

std::string read_gzip(const std::filesystem::path& path) {
    throw Error(str("cannot read ", path.string(),
                    ": this build has no zlib; unpack the file with gunzip"));
}

}  // namespace vila::data

#endif
