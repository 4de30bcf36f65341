#pragma once

// FeatureCache: the features of images from a frozen vision tower, each computed once. Features are
// kept in memory up to a budget and beyond that in one file on disk. Entries are never removed, so
// loader threads can rely on an earlier contains(). Values are stored in the dtype of the tower, so
// read() returns the bits that store() received.
//
// File: a 64-byte header (magic, fingerprint of tower and preprocessing, bytes per entry), then
// entries of equal size: 128-bit key of the image, 64-bit hash of the values, the values. A file
// with another fingerprint is overwritten; a truncated or damaged entry is computed again.

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
    int64_t values = 0;  // per image: rows times width
    DType dtype = DType::F32;
    int64_t memory_bytes = 0;
    std::filesystem::path file;  // created when the memory budget is used up
    uint64_t fingerprint = 0;    // of everything the features depend on besides the image
    // Called once if the file cannot be written; further features are then computed every time.
    std::function<void(const std::string& line)> warn;
};

class FeatureCache {
  public:
    // Opens the file if it exists and has this fingerprint.
    explicit FeatureCache(FeatureCacheOptions options);
    ~FeatureCache();
    FeatureCache(const FeatureCache&) = delete;
    FeatureCache& operator=(const FeatureCache&) = delete;

    // Safe to call from any thread.
    bool contains(const data::ImageRef& image) const;
    // Fills `features` (options.values of them) and returns true. Returns false if the image is not
    // in the cache or its entry is damaged.
    bool read(const data::ImageRef& image, std::span<float> features) const;
    // Stores the features of an image. Does nothing if the image is in memory or the disk is full.
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
