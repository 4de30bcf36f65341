#pragma once

// FeatureMemory: keeps the features of the most recently used images, so that an image that several
// prompts contain runs through the vision tower once. Safe to use on several threads at once.

#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "data/loader/loader.h"

namespace vila::tools {

class FeatureMemory {
  public:
    using Features = std::shared_ptr<const data::LoadedImage>;

    // Keeps at most `max_bytes` of features.
    explicit FeatureMemory(int64_t max_bytes) : max_bytes_(max_bytes) {}
    FeatureMemory(const FeatureMemory&) = delete;
    FeatureMemory& operator=(const FeatureMemory&) = delete;

    // Returns the features that are kept under `key`. If there are none, calls `compute` and keeps
    // its result if it fits; the least recently used features are forgotten to make room. Two
    // threads that ask for the same key at the same time may both compute.
    Features get(const std::string& key, const std::function<Features()>& compute);
    // Forgets all features.
    void clear();
    // Returns the size of all features that are kept.
    int64_t bytes() const;

  private:
    struct Entry {
        std::string key;
        Features features;
    };

    void forget_until_fits();

    int64_t max_bytes_;
    mutable std::mutex mutex_;
    int64_t bytes_ = 0;
    std::list<Entry> entries_;  // the most recently used first
    std::unordered_map<std::string, std::list<Entry>::iterator> by_key_;
};

}  // namespace vila::tools
