#pragma once

// The pairs of characters that are adjacent inside some piece of a vocabulary. No piece covers two
// adjacent characters of a text that are not such a pair, so the text can be cut between them
// without changing ids.

#include <cstdint>
#include <string_view>
#include <vector>

namespace vila::data {

class TextPairs {
  public:
    TextPairs();
    // Adds all pairs of adjacent characters in `piece`.
    void add(std::string_view piece);
    // Returns the length in bytes of the longest prefix of `text` (not empty) that must not be cut.
    // Pairs beyond ASCII are a set of hashes: it may report a pair that was never added, but never
    // misses one.
    int64_t uncut_bytes(std::string_view text) const;

  private:
    static constexpr uint32_t kAscii = 128;
    static constexpr int kHashBits = 18;
    static uint64_t hash(uint32_t left, uint32_t right);
    bool together(uint32_t left, uint32_t right) const;

    std::vector<uint8_t> ascii_;    // (128, 128), by left and right
    std::vector<uint64_t> hashed_;  // a bit for each hash of a pair that is not all ASCII
};

}  // namespace vila::data
