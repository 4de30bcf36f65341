#include "data/loader/bad_records.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "tensor/check.h"

namespace vila::data {

namespace {

// The share is taken of at least this many records.
constexpr int64_t kLeastRecords = 100;

}  // namespace

int64_t allowed_bad_records(int64_t records, double max_bad_share) {
    constexpr double kRounding = 1e-9;  // 0.29 * 100 is less than 29 in floating point
    const double allowed = max_bad_share * static_cast<double>(std::max(records, kLeastRecords));
    return static_cast<int64_t>(std::floor(allowed * (1.0 + kRounding)));
}

std::string too_many_bad_records(int64_t bad, int64_t records, double max_bad_share) {
    const int64_t allowed = allowed_bad_records(records, max_bad_share);
    if (bad <= allowed) return "";
    return str(bad, " of ", records, " records cannot be used, more than the ", allowed,
               " allowed (data.max_bad_share = ", max_bad_share,
               records < kLeastRecords ? str(", of ", kLeastRecords, " records") : "", ")");
}

bool BadRecords::add(const BadSample& sample) {
    const auto key = [](const BadSample& bad) {
        return std::make_tuple(bad.step, bad.source, bad.index);
    };
    if (known_.empty() || key(sample) < key(first_)) first_ = sample;
    return known_.emplace(sample.source, sample.index).second;
}

void BadRecords::check() const {
    const std::string text =
        too_many_bad_records(static_cast<int64_t>(known_.size()), records_, max_bad_share_);
    VILA_CHECK(text.empty(), text, "; the first: ", first_.where, ": ", first_.reason);
}

}  // namespace vila::data
