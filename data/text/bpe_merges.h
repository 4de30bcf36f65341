#pragma once

// The merge table of a byte-pair encoding, and how it merges the symbols of one word.

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace vila::data {

class BpeMerges {
  public:
    // The symbol that a pair of adjacent symbols becomes; the lowest rank is merged first.
    struct Merge {
        int32_t rank = 0;
        int32_t id = 0;
    };

    explicit BpeMerges(int64_t expected = 0);
    // If a pair is added several times, the last merge counts.
    void add(int32_t left, int32_t right, const Merge& merge);
    std::optional<Merge> find(int32_t left, int32_t right) const;

    // Merges the pair of lowest rank, the leftmost of equals, until no pair of `symbols` is in the
    // table. O(n log n) in the number of symbols.
    void apply(std::vector<int32_t>& symbols) const;
    // Merges likewise and calls on_pair(left, right, merged) for every pair of the table that was
    // adjacent at some time: first the initial pairs from left to right, then new ones as they
    // form.
    using OnPair = std::function<void(int32_t, int32_t, int32_t)>;
    void apply(std::vector<int32_t>& symbols, const OnPair& on_pair) const;

  private:
    struct Slot {
        uint64_t pair = 0;
        Merge merge{-1, 0};  // rank -1: empty
    };
    void grow();
    int64_t slot_of(uint64_t pair) const;
    void apply_short(std::vector<int32_t>& symbols) const;
    template <typename Observer>
    void apply_long(std::vector<int32_t>& symbols, const Observer& observer) const;

    std::vector<Slot> slots_;  // open addressing, a power of two, at most half full
    int64_t used_ = 0;
};

}  // namespace vila::data
