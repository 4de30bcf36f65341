#include "tools/train/feature_cache.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "tensor/check.h"
#include "tools/base/hash64.h"

namespace vila::tools {

namespace {

constexpr int64_t kHeaderBytes = 64;
constexpr int64_t kEntryHeaderBytes = 40;
constexpr char kMagic[8] = {'v', 'i', 'l', 'a', 'f', 'e', 'a', '2'};

struct FileHeader {
    char magic[8] = {};
    uint64_t fingerprint = 0;
    int64_t row_bytes = 0;
    char unused[kHeaderBytes - 24] = {};
};
static_assert(sizeof(FileHeader) == kHeaderBytes);

struct EntryHeader {
    uint64_t low = 0, high = 0;
    int64_t values = 0;
    uint64_t hash = 0;   // of the values
    uint64_t check = 0;  // of the members above

    uint64_t right_check() const { return hash64(this, kEntryHeaderBytes - 8); }
};
static_assert(sizeof(EntryHeader) == kEntryHeaderBytes);

bool read_exactly(int descriptor, void* data, int64_t bytes, int64_t offset) {
    return ::pread(descriptor, data, static_cast<size_t>(bytes), offset) == bytes;
}

// Whether a file may be overwritten: it is empty, or begins as the files of every version do.
bool is_cache_file(int descriptor) {
    constexpr size_t kLetters = sizeof(kMagic) - 1;  // the last one is the version
    char begin[kLetters] = {};
    const ssize_t got = ::pread(descriptor, begin, kLetters, 0);
    return got >= 0 && std::memcmp(begin, kMagic, static_cast<size_t>(got)) == 0;
}

bool write_exactly(int descriptor, const void* data, int64_t bytes, int64_t offset) {
    return ::pwrite(descriptor, data, static_cast<size_t>(bytes), offset) == bytes;
}

}  // namespace

FeatureCache::FeatureCache(FeatureCacheOptions options) : options_(std::move(options)) {
    VILA_CHECK(options_.dtype == DType::F32 || options_.dtype == DType::BF16,
               "[feature_cache] dtype ", options_.dtype, ": expected f32 or bf16");
    if (std::filesystem::exists(options_.file)) open_file();
}

FeatureCache::~FeatureCache() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

FeatureCache::Key FeatureCache::key_of(const data::ImageRef& image) {
    const std::string text = str(image.path, '\n', image.offset, '\n', image.bytes);
    const std::string other = "2" + text;
    return {hash64(text.data(), static_cast<int64_t>(text.size())),
            hash64(other.data(), static_cast<int64_t>(other.size()))};
}

int64_t FeatureCache::rows(const data::ImageRef& image) const {
    const Key key = key_of(image);
    const std::lock_guard lock(mutex_);
    const auto in_memory = memory_.find(key);
    if (in_memory != memory_.end())
        return static_cast<int64_t>(in_memory->second.size()) / row_bytes();
    const auto on_disk = places_.find(key);
    return on_disk == places_.end() ? 0 : on_disk->second.bytes / row_bytes();
}

bool FeatureCache::read(const data::ImageRef& image, std::vector<float>& features) const {
    const Key key = key_of(image);
    const std::lock_guard lock(mutex_);
    const auto in_memory = memory_.find(key);
    if (in_memory != memory_.end()) {
        unpack(in_memory->second, features);
        return true;
    }
    const auto on_disk = places_.find(key);
    if (on_disk == places_.end()) return false;
    const Place& place = on_disk->second;
    EntryHeader header;
    Bytes bytes(static_cast<size_t>(place.bytes));
    if (!read_exactly(descriptor_, &header, kEntryHeaderBytes, place.offset) ||
        !read_exactly(descriptor_, bytes.data(), place.bytes, place.offset + kEntryHeaderBytes) ||
        header.hash != hash64(bytes.data(), place.bytes))
        return false;
    unpack(bytes, features);
    return true;
}

void FeatureCache::store(const data::ImageRef& image, std::span<const float> features) {
    const auto count = static_cast<int64_t>(features.size());
    VILA_CHECK(count > 0 && count % options_.width == 0, "[feature_cache] ", count,
               " values of an image: expected rows of ", options_.width);
    const Key key = key_of(image);
    Bytes bytes = pack(features);
    const std::lock_guard lock(mutex_);
    if (memory_.contains(key)) return;
    const int64_t used = memory_used_ + static_cast<int64_t>(bytes.size());
    if (!places_.contains(key) && used <= options_.memory_bytes) {
        memory_used_ = used;
        memory_.emplace(key, std::move(bytes));
        return;
    }
    if (disk_full_) return;
    if (descriptor_ < 0) open_file();
    if (append(key, bytes)) return;
    disk_full_ = true;
    options_.warn(str(options_.file.string(), ": cannot write (", std::strerror(errno),
                      "); features of further images are computed every time"));
}

FeatureCache::Bytes FeatureCache::pack(std::span<const float> features) const {
    Bytes bytes(features.size() * static_cast<size_t>(dtype_size(options_.dtype)));
    if (options_.dtype == DType::F32) {
        std::memcpy(bytes.data(), features.data(), bytes.size());
        return bytes;
    }
    for (size_t i = 0; i < features.size(); ++i) {
        const uint16_t bits = BFloat16(features[i]).bits;
        std::memcpy(bytes.data() + 2 * i, &bits, sizeof(bits));
    }
    return bytes;
}

void FeatureCache::unpack(const Bytes& bytes, std::vector<float>& features) const {
    features.resize(bytes.size() / static_cast<size_t>(dtype_size(options_.dtype)));
    if (options_.dtype == DType::F32) {
        std::memcpy(features.data(), bytes.data(), bytes.size());
        return;
    }
    for (size_t i = 0; i < features.size(); ++i) {
        BFloat16 value;
        std::memcpy(&value.bits, bytes.data() + 2 * i, sizeof(value.bits));
        features[i] = static_cast<float>(value);
    }
}

void FeatureCache::open_file() {
    std::error_code ignored;
    std::filesystem::create_directories(options_.file.parent_path(), ignored);
    descriptor_ = ::open(options_.file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (descriptor_ < 0) return;
    FileHeader expected;
    std::memcpy(expected.magic, kMagic, sizeof(kMagic));
    expected.fingerprint = options_.fingerprint;
    expected.row_bytes = row_bytes();
    FileHeader header;
    file_end_ = kHeaderBytes;
    if (read_exactly(descriptor_, &header, kHeaderBytes, 0) &&
        std::memcmp(&header, &expected, sizeof(header)) == 0) {
        read_index();
        return;
    }
    if (!is_cache_file(descriptor_)) {
        ::close(descriptor_);
        descriptor_ = -1;
        disk_full_ = true;
        options_.warn(str(options_.file.string(),
                          ": holds no features and is left as it is; features that do not fit into "
                          "memory are computed every time"));
        return;
    }
    const bool started =
        ::ftruncate(descriptor_, 0) == 0 && write_exactly(descriptor_, &expected, kHeaderBytes, 0);
    if (!started) {
        ::close(descriptor_);
        descriptor_ = -1;
    }
}

void FeatureCache::read_index() {
    const int64_t size = ::lseek(descriptor_, 0, SEEK_END);
    EntryHeader header;
    while (read_exactly(descriptor_, &header, kEntryHeaderBytes, file_end_)) {
        if (header.check != header.right_check()) return;
        const int64_t bytes = header.values * dtype_size(options_.dtype);
        if (bytes <= 0 || bytes % row_bytes() != 0) return;
        if (bytes > size - file_end_ - kEntryHeaderBytes) return;
        places_.insert_or_assign(Key{header.low, header.high}, Place{file_end_, bytes});
        file_end_ += kEntryHeaderBytes + bytes;
    }
}

bool FeatureCache::append(const Key& key, const Bytes& bytes) {
    if (descriptor_ < 0) return false;
    const auto size = static_cast<int64_t>(bytes.size());
    EntryHeader header = {.low = key.low,
                          .high = key.high,
                          .values = size / dtype_size(options_.dtype),
                          .hash = hash64(bytes.data(), size)};
    header.check = header.right_check();
    // The values are written before the header, so a key in the file implies its values.
    if (!write_exactly(descriptor_, bytes.data(), size, file_end_ + kEntryHeaderBytes) ||
        !write_exactly(descriptor_, &header, kEntryHeaderBytes, file_end_))
        return false;
    places_.insert_or_assign(key, Place{file_end_, size});
    file_end_ += kEntryHeaderBytes + size;
    return true;
}

}  // namespace vila::tools
