#pragma once

// The order of samples: a pure function of seed and position, equal for any number of ranks. A run
// can resume at any position in constant time, without replaying.
//
// Sources are interleaved evenly by weight. Each source is visited in the order of a permutation,
// a new one for each epoch of the source, so that an epoch visits each of its records once.

#include <cstdint>
#include <vector>

namespace vila::data {

// A record of a mixture, with `index` in [0, sizes[source]).
struct SampleAddress {
    int32_t source = 0;
    int64_t index = 0;

    bool operator==(const SampleAddress&) const = default;
};

// A permutation of [0, size) chosen by `key`: a Feistel network over the number's two digits in a
// mixed radix, with cycle walking (Black and Rogaway 2002, Ciphers with Arbitrary Finite
// Domains).
class Permutation {
  public:
    Permutation(int64_t size, uint64_t key);
    int64_t operator()(int64_t position) const;

  private:
    int64_t size_;
    int64_t high_;  // number of values of the high digit
    int64_t low_;   // number of values of the low digit
    uint64_t key_;
};

class Mixture {
  public:
    // sizes: records of each source, all above 0. weights: share of samples, above 0, any scale.
    Mixture(std::vector<int64_t> sizes, std::vector<double> weights, uint64_t seed);

    // Returns the sample at a position >= 0 of the endless stream. O(log sources).
    SampleAddress at(int64_t position) const;
    // Returns the replacement of an unusable sample at `position`: the record `attempt` places
    // after it (1, 2, ...) in its source's order.
    SampleAddress replacement(int64_t position, int64_t attempt) const;
    // Returns the number of samples in an epoch of the mixture: the records of all sources.
    int64_t samples_per_epoch() const;
    // Returns how many of the first `position` samples come from `source`.
    int64_t count_before(int64_t position, int32_t source) const;

  private:
    // Sources are the leaves of a binary tree. Of every `weight` samples that reach a node,
    // left_weight go left, evenly spread.
    struct Node {
        int64_t left_weight = 0, weight = 1;
        int32_t left = -1, right = -1;  // nodes, or -1 at a leaf
        int32_t source = -1;            // of a leaf
    };
    struct Turn {
        int32_t source;
        int64_t count;  // earlier samples of this source
    };
    int32_t build(const std::vector<int64_t>& weights, int32_t begin, int32_t end);
    Turn turn_at(int64_t position) const;
    SampleAddress record(int32_t source, int64_t count) const;

    std::vector<int64_t> sizes_;
    std::vector<Node> nodes_;
    uint64_t seed_;
};

}  // namespace vila::data
