#include "tools/run/feature_memory.h"

namespace vila::tools {

namespace {

int64_t bytes_of(const FeatureMemory::Features& features) {
    return static_cast<int64_t>(features->values.size() * sizeof features->values[0]);
}

}  // namespace

FeatureMemory::Features FeatureMemory::get(const std::string& key,
                                           const std::function<Features()>& compute) {
    {
        const std::lock_guard lock(mutex_);
        const auto found = by_key_.find(key);
        if (found != by_key_.end()) {
            entries_.splice(entries_.begin(), entries_, found->second);
            return found->second->features;
        }
    }
    Features features = compute();
    if (bytes_of(features) > max_bytes_) return features;
    const std::lock_guard lock(mutex_);
    if (by_key_.contains(key)) return features;  // another thread was faster
    entries_.push_front({key, features});
    by_key_[key] = entries_.begin();
    bytes_ += bytes_of(features);
    forget_until_fits();
    return features;
}

void FeatureMemory::clear() {
    const std::lock_guard lock(mutex_);
    entries_.clear();
    by_key_.clear();
    bytes_ = 0;
}

int64_t FeatureMemory::bytes() const {
    const std::lock_guard lock(mutex_);
    return bytes_;
}

void FeatureMemory::forget_until_fits() {
    while (bytes_ > max_bytes_ && !entries_.empty()) {
        bytes_ -= bytes_of(entries_.back().features);
        by_key_.erase(entries_.back().key);
        entries_.pop_back();
    }
}

}  // namespace vila::tools
