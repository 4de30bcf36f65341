#pragma once

// What a frozen vision tower saw in each image, computed once: kept in memory up to a budget, the
// rest in one file on disk. Entries are never dropped, so that contains() can be asked ahead of
// time by loader threads. Values are kept in the tower's own dtype: what comes back is bit for bit
// what went in.
//
// File: a 64-byte header (magic, fingerprint of tower and preprocessing, bytes of an entry), then
// entries of one size: 128-bit key of the image, 64-bit hash of the values, the values. A file of
// another fingerprint is started anew; a cut or damaged entry is computed again.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "data/sample.h"
#include "tensor/dtype.h"

namespace vila::tools {

struct FeatureCacheOptions {
    int64_t values = 0;  // of one image: rows times width
    DType dtype = DType::F32;
    int64_t memory_bytes = 0;
    std::filesystem::path file;  // made when the memory is used up
    uint64_t fingerprint = 0;    // of everything the features depend on besides the image
    // Told once when the disk takes no more; features are then computed every time.
    std::function<void(const std::string& line)> warn;
};

class FeatureCache {
  public:
    // Opens the file if there is one of this fingerprint.
    explicit FeatureCache(FeatureCacheOptions options);
    ~FeatureCache();
    FeatureCache(const FeatureCache&) = delete;
    FeatureCache& operator=(const FeatureCache&) = delete;

    // Safe to call from any thread.
    bool contains(const data::ImageRef& image) const;
    // Fills `features` (values) and returns true, or returns false when the image is not there or
    // its entry is damaged.
    bool read(const data::ImageRef& image, std::span<float> features) const;
    // Keeps the features of an image that is not there; without effect when there is no room.
    void store(const data::ImageRef& image, std::span<const float> features);

    int64_t images_in_memory() const { return static_cast<int64_t>(memory_.size()); }
    int64_t images_on_disk() const { return static_cast<int64_t>(offsets_.size()); }

  private:
    struct Key {
        uint64_t low = 0, high = 0;
        bool operator==(const Key&) const = default;
    };
    struct KeyHash {
        size_t operator()(const Key& key) const { return static_cast<size_t>(key.low); }
    };
    using Bytes = std::vector<unsigned char>;

    static Key key_of(const data::ImageRef& image);
    int64_t bytes_per_image() const { return options_.values * dtype_size(options_.dtype); }
    Bytes pack(std::span<const float> features) const;
    void unpack(const Bytes& bytes, std::span<float> features) const;
    void open_file();
    void read_index();
    bool append(const Key& key, const Bytes& bytes);

    FeatureCacheOptions options_;
    mutable std::mutex mutex_;
    std::unordered_map<Key, Bytes, KeyHash> memory_;
    std::unordered_map<Key, int64_t, KeyHash> offsets_;  // of entries in the file
    int descriptor_ = -1;
    int64_t file_end_ = 0;
    bool disk_full_ = false;
};

}  // namespace vila::tools
