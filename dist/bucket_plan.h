#pragma once

// Groups parameters into buckets, each of which is communicated as a whole. A plan follows from the
// parameters and the number of ranks, so every rank makes the same one.
//
// Parameters are taken from the last declared to the first, which is roughly the order in which
// backward() finishes their gradients. All parameters of a bucket have one dtype. A bucket is
// closed once it holds the requested number of values. Every parameter starts at a multiple of 64
// values. The end of a bucket is padded so that each rank gets an equal slice, a multiple of 64
// values. Only this padding depends on the number of ranks.
//
// On request, the parameters of each block (a layer of an encoder or decoder) get a bucket of their
// own, so that they can be gathered and freed together. Those buckets come first.

#include <cstdint>
#include <string>
#include <vector>

#include "nn/parameter.h"

namespace vila::dist {

// Parameters start at multiples of this many values.
constexpr int64_t kBucketAlignment = 64;
// Limits of default_bucket_values(): 256 kB and 32 MB of gradients in f32.
constexpr int64_t kMinBucketValues = int64_t{1} << 16;
constexpr int64_t kMaxBucketValues = int64_t{1} << 23;

struct Bucket {
    struct Piece {
        size_t parameter = 0;  // index in the list given to plan_buckets()
        int64_t begin = 0;     // first value in the bucket
        int64_t count = 0;
    };
    DType dtype = DType::F32;  // of the parameters
    std::vector<Piece> pieces;
    int64_t size = 0;        // values, including padding
    std::string block = {};  // name of the block, "model.layers.3."; empty for other parameters
};

// The values [begin, end) of a bucket.
struct Slice {
    int64_t begin = 0, end = 0;
    int64_t size() const { return end - begin; }
};

struct BucketPlan {
    int64_t ranks = 1;
    std::vector<Bucket> buckets;
    std::vector<size_t> bucket_of;  // by parameter: the index of its bucket

    // The slice of a bucket that belongs to `rank`.
    Slice slice_of(const Bucket& bucket, int64_t rank) const;
    // Values in all buckets, including padding.
    int64_t size() const;
};

// An eighth of all values, within the limits above, so that some buckets are summed while the
// gradients of others are computed.
int64_t default_bucket_values(const std::vector<nn::Parameter*>& parameters);

// The parameters must be allocated, because the plan reads their dtypes. A bucket is closed once it
// holds `bucket_values` values or more. With `by_block`, each block has one bucket of any size.
BucketPlan plan_buckets(const std::vector<nn::Parameter*>& parameters, int64_t ranks,
                        int64_t bucket_values, bool by_block = false);
// The name of the block of a parameter: "model.layers.3." for "model.layers.3.mlp.up_proj.weight".
// Empty for a parameter outside of blocks.
std::string block_of(const std::string& parameter);

}  // namespace vila::dist
