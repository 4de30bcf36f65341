#pragma once

// Which parameters travel together. A plan is made once, from the parameters alone, so that every
// rank has the same buckets in the same order without asking.
//
// Parameters are taken from the last declared to the first, which is about the order in which
// backward() finishes their gradients; a bucket holds one dtype and is closed by the parameter that
// fills it. Every parameter starts at a multiple of 64 values; the end is padded so that each rank
// gets an equal slice of whole 64s. But for that padding a plan does not depend on the number of
// ranks.
//
// Parameters of a block (a layer of an encoder or decoder) may be asked to have a bucket of their
// own, so that they can come and go together; those buckets are the first.

#include <cstdint>
#include <string>
#include <vector>

#include "nn/parameter.h"

namespace vila::dist {

// Values from one start to the next are a multiple of this.
constexpr int64_t kBucketAlignment = 64;
// 256 kB and 32 MB of gradients in f32.
constexpr int64_t kLeastBucketValues = int64_t{1} << 16;
constexpr int64_t kMostBucketValues = int64_t{1} << 23;

struct Bucket {
    struct Piece {
        size_t parameter = 0;  // in the list the plan was made from
        int64_t begin = 0;     // first value in the bucket
        int64_t count = 0;
    };
    DType dtype = DType::F32;  // of the parameters
    std::vector<Piece> pieces;
    int64_t size = 0;        // values, padding included
    std::string block = {};  // "model.layers.3.": the block whose parameters these are; or empty
};

// The part of a bucket that one rank looks after.
struct Slice {
    int64_t begin = 0, end = 0;
    int64_t size() const { return end - begin; }
};

struct BucketPlan {
    int64_t ranks = 1;
    std::vector<Bucket> buckets;
    std::vector<size_t> bucket_of;  // of each parameter

    Slice slice_of(const Bucket& bucket, int64_t rank) const;
    // Values in all buckets, padding included.
    int64_t size() const;
};

// An eighth of all values, within the limits: so that some are summed while others are computed.
int64_t default_bucket_values(const std::vector<nn::Parameter*>& parameters);

// Every parameter must have values. A bucket is closed once it holds `bucket_values` or more; that
// of a block holds the whole block.
BucketPlan plan_buckets(const std::vector<nn::Parameter*>& parameters, int64_t ranks,
                        int64_t bucket_values, bool by_block = false);
// "model.layers.3." of "model.layers.3.mlp.up_proj.weight"; empty for parameters outside of blocks.
std::string block_of(const std::string& parameter);

}  // namespace vila::dist
