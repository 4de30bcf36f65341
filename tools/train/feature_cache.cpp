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
constexpr int64_t kEntryHeaderBytes = 24;
constexpr char kMagic[8] = {'v', 'i', 'l', 'a', 'f', 'e', 'a', '1'};

struct FileHeader {
    char magic[8] = {};
    uint64_t fingerprint = 0;
    int64_t entry_bytes = 0;
    char unused[kHeaderBytes - 24] = {};
};
static_assert(sizeof(FileHeader) == kHeaderBytes);

struct EntryHeader {
    uint64_t low = 0, high = 0, hash = 0;
};
static_assert(sizeof(EntryHeader) == kEntryHeaderBytes);

bool read_exactly(int descriptor, void* data, int64_t bytes, int64_t offset) {
    return ::pread(descriptor, data, static_cast<size_t>(bytes), offset) == bytes;
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

bool FeatureCache::contains(const data::ImageRef& image) const {
    const Key key = key_of(image);
    const std::lock_guard lock(mutex_);
    return memory_.contains(key) || offsets_.contains(key);
}

bool FeatureCache::read(const data::ImageRef& image, std::span<float> features) const {
    const Key key = key_of(image);
    const std::lock_guard lock(mutex_);
    const auto in_memory = memory_.find(key);
    if (in_memory != memory_.end()) {
        unpack(in_memory->second, features);
        return true;
    }
    const auto on_disk = offsets_.find(key);
    if (on_disk == offsets_.end()) return false;
    EntryHeader header;
    Bytes bytes(static_cast<size_t>(bytes_per_image()));
    if (!read_exactly(descriptor_, &header, kEntryHeaderBytes, on_disk->second) ||
        !read_exactly(descriptor_, bytes.data(), bytes_per_image(),
                      on_disk->second + kEntryHeaderBytes) ||
        header.hash != hash64(bytes.data(), bytes_per_image()))
        return false;
    unpack(bytes, features);
    return true;
}

void FeatureCache::store(const data::ImageRef& image, std::span<const float> features) {
    VILA_CHECK_EQ(static_cast<int64_t>(features.size()), options_.values,
                  "[feature_cache] values of an image");
    const Key key = key_of(image);
    Bytes bytes = pack(features);
    const std::lock_guard lock(mutex_);
    if (memory_.contains(key)) return;
    const int64_t used = static_cast<int64_t>(memory_.size()) * bytes_per_image();
    if (!offsets_.contains(key) && used + bytes_per_image() <= options_.memory_bytes) {
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
    Bytes bytes(static_cast<size_t>(bytes_per_image()));
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

void FeatureCache::unpack(const Bytes& bytes, std::span<float> features) const {
    VILA_CHECK_EQ(static_cast<int64_t>(features.size()), options_.values,
                  "[feature_cache] values of an image");
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
    expected.entry_bytes = kEntryHeaderBytes + bytes_per_image();
    FileHeader header;
    file_end_ = kHeaderBytes;
    if (read_exactly(descriptor_, &header, kHeaderBytes, 0) &&
        std::memcmp(&header, &expected, sizeof(header)) == 0) {
        read_index();
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
    const int64_t entry_bytes = kEntryHeaderBytes + bytes_per_image();
    const int64_t size = ::lseek(descriptor_, 0, SEEK_END);
    EntryHeader header;
    for (; file_end_ + entry_bytes <= size; file_end_ += entry_bytes) {
        if (!read_exactly(descriptor_, &header, kEntryHeaderBytes, file_end_)) return;
        offsets_.insert_or_assign(Key{header.low, header.high}, file_end_);
    }
}

bool FeatureCache::append(const Key& key, const Bytes& bytes) {
    if (descriptor_ < 0) return false;
    const EntryHeader header = {key.low, key.high, hash64(bytes.data(), bytes_per_image())};
    // The values are written before the header, so a key in the file implies its values.
    if (!write_exactly(descriptor_, bytes.data(), bytes_per_image(),
                       file_end_ + kEntryHeaderBytes) ||
        !write_exactly(descriptor_, &header, kEntryHeaderBytes, file_end_))
        return false;
    offsets_.insert_or_assign(key, file_end_);
    file_end_ += kEntryHeaderBytes + bytes_per_image();
    return true;
}

}  // namespace vila::tools
