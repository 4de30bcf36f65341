#pragma once

// FeatureMemory: the features of the images that were used last, so that an image which several
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

    // Returns the features that are kept under `key`, or those that `compute` returns, which are
    // then kept. Forgets the features that were not asked for longest. Two threads that ask for the
    // same key at the same time may both compute.
    Features get(const std::string& key, const std::function<Features()>& compute);
    // Forgets all features.
    void clear();
    // The bytes of features that are kept.
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
    std::list<Entry> entries_;  // last used first
    std::unordered_map<std::string, std::list<Entry>::iterator> by_key_;
};

}  // namespace vila::tools
