#pragma once

// FeatureCache: the features of images from a frozen vision tower, each computed once. Features are
// kept in memory up to a budget and beyond that in one file on disk. Entries are never removed, so
// loader threads can rely on an earlier contains(). Values are stored in the dtype of the tower, so
// read() returns the bits that store() received.
//
// Images may have different numbers of features. File: a 64-byte header (magic, fingerprint of
// tower and preprocessing, bytes of a feature row), then entries: 128-bit key of the image, number
// of values, 64-bit hash of the values, 64-bit hash of these four numbers, the values. A file with
// another fingerprint is overwritten, one of another kind is left alone. A damaged entry is
// computed again, and so are all after a damaged or truncated header.

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
    int64_t width = 0;  // values of a feature row, Cv
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
    bool contains(const data::ImageRef& image) const { return rows(image) > 0; }
    // Returns the number of feature rows of an image, 0 if it is not in the cache.
    int64_t rows(const data::ImageRef& image) const;
    // Sets `features` to those of the image, rows(image) times the width, and returns true. Returns
    // false if the image is not in the cache or its entry is damaged.
    bool read(const data::ImageRef& image, std::vector<float>& features) const;
    // Stores the features of an image, at least one row. Does nothing if the image is in memory or
    // the disk is full.
    void store(const data::ImageRef& image, std::span<const float> features);

    int64_t images_in_memory() const { return static_cast<int64_t>(memory_.size()); }
    int64_t images_on_disk() const { return static_cast<int64_t>(places_.size()); }

  private:
    struct Key {
        uint64_t low = 0, high = 0;
        bool operator==(const Key&) const = default;
    };
    struct KeyHash {
        size_t operator()(const Key& key) const { return static_cast<size_t>(key.low); }
    };
    using Bytes = std::vector<unsigned char>;
    // Where an entry is in the file.
    struct Place {
        int64_t offset = 0;
        int64_t bytes = 0;  // of the values
    };

    int64_t row_bytes() const { return options_.width * dtype_size(options_.dtype); }
    static Key key_of(const data::ImageRef& image);
    Bytes pack(std::span<const float> features) const;
    void unpack(const Bytes& bytes, std::vector<float>& features) const;
    void open_file();
    void read_index();
    bool append(const Key& key, const Bytes& bytes);

    FeatureCacheOptions options_;
    mutable std::mutex mutex_;
    std::unordered_map<Key, Bytes, KeyHash> memory_;
    int64_t memory_used_ = 0;  // bytes of the values in memory_
    std::unordered_map<Key, Place, KeyHash> places_;
    int descriptor_ = -1;
    int64_t file_end_ = 0;
    bool disk_full_ = false;
};

}  // namespace vila::tools
