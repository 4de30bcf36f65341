#include "dist/bucket_plan.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "tensor/check.h"
#include "tensor/int_math.h"

namespace vila::dist {

Slice BucketPlan::slice_of(const Bucket& bucket, int64_t rank) const {
    const int64_t slice = bucket.size / ranks;
    return {rank * slice, (rank + 1) * slice};
}

int64_t BucketPlan::size() const {
    int64_t total = 0;
    for (const Bucket& bucket : buckets) total += bucket.size;
    return total;
}

std::string block_of(const std::string& parameter) {
    constexpr std::string_view kLayers = ".layers.";
    const size_t layers = parameter.find(kLayers);
    if (layers == std::string::npos) return {};
    const size_t dot = parameter.find('.', layers + kLayers.size());
    return dot == std::string::npos ? std::string() : parameter.substr(0, dot + 1);
}

int64_t default_bucket_values(const std::vector<nn::Parameter*>& parameters) {
    constexpr int64_t kBuckets = 8;
    int64_t values = 0;
    for (const nn::Parameter* parameter : parameters) values += parameter->shape.numel();
    return std::clamp(values / kBuckets, kMinBucketValues, kMaxBucketValues);
}

BucketPlan plan_buckets(const std::vector<nn::Parameter*>& parameters, int64_t ranks,
                        int64_t bucket_values, bool by_block) {
    VILA_CHECK(ranks >= 1 && bucket_values >= 1, "[buckets] ", ranks, " ranks and ", bucket_values,
               " values per bucket: expected at least 1 of each");
    BucketPlan plan{.ranks = ranks, .buckets = {}, .bucket_of = {}};
    plan.bucket_of.resize(parameters.size());
    std::vector<std::pair<size_t, std::string>> order;  // parameter, block
    for (const bool in_blocks : {true, false})
        for (size_t i = parameters.size(); i-- > 0;) {
            std::string block = by_block ? block_of(parameters[i]->name) : std::string();
            if (block.empty() != in_blocks) order.emplace_back(i, std::move(block));
        }
    for (const auto& [i, block] : order) {
        const DType dtype = parameters[i]->variable.dtype();
        const bool fits = !plan.buckets.empty() && plan.buckets.back().dtype == dtype &&
                          plan.buckets.back().block == block &&
                          (!block.empty() || plan.buckets.back().size < bucket_values);
        if (!fits)
            plan.buckets.push_back({.dtype = dtype, .pieces = {}, .size = 0, .block = block});
        Bucket& bucket = plan.buckets.back();
        const int64_t count = parameters[i]->shape.numel();
        bucket.pieces.push_back({i, bucket.size, count});
        bucket.size = round_up(bucket.size + count, kBucketAlignment);
        plan.bucket_of[i] = plan.buckets.size() - 1;
    }
    for (Bucket& bucket : plan.buckets)
        bucket.size = round_up(bucket.size, ranks * kBucketAlignment);
    return plan;
}

}  // namespace vila::dist
