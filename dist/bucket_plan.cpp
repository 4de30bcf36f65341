#include "dist/bucket_plan.h"

#include "tensor/check.h"

namespace vila::dist {

namespace {

int64_t round_up(int64_t value, int64_t multiple) {
    return (value + multiple - 1) / multiple * multiple;
}

}  // namespace

Slice BucketPlan::slice_of(const Bucket& bucket, int64_t rank) const {
    const int64_t slice = bucket.size / ranks;
    return {rank * slice, (rank + 1) * slice};
}

int64_t BucketPlan::size() const {
    int64_t total = 0;
    for (const Bucket& bucket : buckets) total += bucket.size;
    return total;
}

BucketPlan plan_buckets(const std::vector<nn::Parameter*>& parameters, int64_t ranks,
                        int64_t bucket_values) {
    VILA_CHECK(ranks >= 1 && bucket_values >= 1, "[buckets] ", ranks, " ranks, ", bucket_values,
               " values a bucket");
    BucketPlan plan{.ranks = ranks, .buckets = {}, .bucket_of = {}};
    plan.bucket_of.resize(parameters.size());
    for (size_t i = parameters.size(); i-- > 0;) {
        const DType dtype = parameters[i]->variable.dtype();
        const bool fits = !plan.buckets.empty() && plan.buckets.back().dtype == dtype &&
                          plan.buckets.back().size < bucket_values;
        if (!fits) plan.buckets.push_back({.dtype = dtype, .pieces = {}, .size = 0});
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
