#include "data/records/gzip.h"

#include "tensor/check.h"

#ifdef VILA_HAVE_ZLIB

#include <zlib.h>

#include <memory>
#include <vector>

namespace vila::data {

bool has_gzip() {
    return true;
}

std::string read_gzip(const std::filesystem::path& path) {
    const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rb"), gzclose);
    VILA_CHECK(file != nullptr, "cannot read ", path.string());
    std::string content;
    std::vector<char> block(1 << 18);
    while (true) {
        const int read = gzread(file.get(), block.data(), static_cast<unsigned>(block.size()));
        if (read <= 0) break;
        content.append(block.data(), static_cast<size_t>(read));
    }
    int code = Z_OK;
    const std::string reason = gzerror(file.get(), &code);
    VILA_CHECK(code == Z_OK || code == Z_STREAM_END, "cannot unpack ", path.string(), ": ", reason);
    return content;
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
