#include "data/loader/mixture.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "tensor/check.h"

namespace vila::data {

namespace {

// Weights are scaled by a power of two to integers whose sum has about this many bits.
constexpr int kWeightBits = 30;
constexpr int kFeistelRounds = 8;

// The finalizer of SplitMix64 (Steele, Lea and Flood 2014, Fast Splittable Pseudorandom Number
// Generators).
uint64_t mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

uint64_t mix(uint64_t a, uint64_t b) {
    return mix(mix(a) ^ b);
}

// Returns floor(position * part / whole) without overflow.
int64_t taken(int64_t position, int64_t part, int64_t whole) {
    return position / whole * part + position % whole * part / whole;
}

// Returns integers in the proportion of the weights, exactly where possible.
std::vector<int64_t> whole_weights(const std::vector<double>& weights) {
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    const int scale = kWeightBits - 1 - std::ilogb(sum);
    std::vector<int64_t> whole;
    for (const double weight : weights)
        whole.push_back(std::max(std::llround(std::ldexp(weight, scale)), 1LL));
    return whole;
}

}  // namespace

Permutation::Permutation(int64_t size, uint64_t key) : size_(size), key_(key) {
    VILA_CHECK(size >= 1, "a permutation of ", size, " things");
    high_ = static_cast<int64_t>(std::sqrt(static_cast<double>(size)));
    while (high_ * high_ < size) ++high_;
    low_ = (size + high_ - 1) / high_;
}

int64_t Permutation::operator()(int64_t position) const {
    VILA_ASSERT(position >= 0 && position < size_);
    do {
        // Each round adds a hash of one digit to the other, which is invertible.
        int64_t high = position / low_, low = position % low_;
        for (uint64_t round = 0; round < kFeistelRounds; ++round) {
            int64_t& changed = round % 2 == 0 ? high : low;
            const int64_t other = round % 2 == 0 ? low : high;
            const int64_t radix = round % 2 == 0 ? high_ : low_;
            const uint64_t hash = mix(key_ + round, static_cast<uint64_t>(other));
            changed = static_cast<int64_t>((static_cast<uint64_t>(changed) + hash % radix) % radix);
        }
        position = high * low_ + low;
    } while (position >= size_);  // cycle walking: the grid is slightly larger than the range
    return position;
}

Mixture::Mixture(std::vector<int64_t> sizes, std::vector<double> weights, uint64_t seed)
    : sizes_(std::move(sizes)), seed_(seed) {
    VILA_CHECK(!sizes_.empty(), "a mixture of no sources: expected at least one");
    VILA_CHECK_EQ(weights.size(), sizes_.size(), "weights of a mixture");
    for (size_t i = 0; i < sizes_.size(); ++i) {
        VILA_CHECK(sizes_[i] > 0, "source ", i, " of the mixture has no records");
        VILA_CHECK(std::isfinite(weights[i]) && weights[i] > 0, "source ", i,
                   " of the mixture has weight ", weights[i], ": expected a number above 0");
    }
    build(whole_weights(weights), 0, static_cast<int32_t>(sizes_.size()));
}

int32_t Mixture::build(const std::vector<int64_t>& weights, int32_t begin, int32_t end) {
    const auto node = static_cast<int32_t>(nodes_.size());
    nodes_.emplace_back();
    if (end - begin == 1) {
        nodes_[node].source = begin;
        return node;
    }
    const int32_t middle = begin + (end - begin) / 2;
    const auto first = weights.begin();
    nodes_[node].left_weight = std::accumulate(first + begin, first + middle, int64_t{0});
    nodes_[node].weight = std::accumulate(first + begin, first + end, int64_t{0});
    const int32_t left_node = build(weights, begin, middle);
    const int32_t right_node = build(weights, middle, end);
    nodes_[node].left = left_node;
    nodes_[node].right = right_node;
    return node;
}

Mixture::Turn Mixture::turn_at(int64_t position) const {
    VILA_CHECK(position >= 0, "sample ", position, " of a mixture");
    const Node* node = &nodes_[0];
    while (node->source < 0) {
        const int64_t left_before = taken(position, node->left_weight, node->weight);
        const bool goes_left = taken(position + 1, node->left_weight, node->weight) > left_before;
        position = goes_left ? left_before : position - left_before;
        node = &nodes_[goes_left ? node->left : node->right];
    }
    return {node->source, position};
}

SampleAddress Mixture::record(int32_t source, int64_t count) const {
    const int64_t size = sizes_[source];
    const uint64_t key =
        mix(mix(seed_, static_cast<uint64_t>(source)), static_cast<uint64_t>(count / size));
    return {source, Permutation(size, key)(count % size)};
}

SampleAddress Mixture::at(int64_t position) const {
    const Turn turn = turn_at(position);
    return record(turn.source, turn.count);
}

SampleAddress Mixture::replacement(int64_t position, int64_t attempt) const {
    const Turn turn = turn_at(position);
    return record(turn.source, turn.count + attempt);
}

int64_t Mixture::samples_per_epoch() const {
    return std::accumulate(sizes_.begin(), sizes_.end(), int64_t{0});
}

int64_t Mixture::count_before(int64_t position, int32_t source) const {
    VILA_CHECK(position >= 0 && source >= 0 && source < static_cast<int32_t>(sizes_.size()),
               "samples of source ", source, " before position ", position);
    int32_t begin = 0, end = static_cast<int32_t>(sizes_.size());
    const Node* node = &nodes_[0];
    while (node->source < 0) {
        const int64_t left = taken(position, node->left_weight, node->weight);
        const int32_t middle = begin + (end - begin) / 2;
        const bool goes_left = source < middle;
        (goes_left ? end : begin) = middle;
        position = goes_left ? left : position - left;
        node = &nodes_[goes_left ? node->left : node->right];
    }
    return position;
}

}  // namespace vila::data
