#pragma once

// Which characters stand beside each other inside some piece of a vocabulary. Where two neighbours
// of a text never do, no piece covers both, and the text can be cut between them without changing
// ids.

#include <cstdint>
#include <string_view>
#include <vector>

namespace vila::data {

class TextPairs {
  public:
    TextPairs();
    // All neighbours in `piece`.
    void add(std::string_view piece);
    // Length in bytes of the longest beginning of `text`, which must not be empty, that is not to
    // be cut. A set of hashes answers: it may find a pair that was never added, never miss one.
    int64_t uncut_bytes(std::string_view text) const;

  private:
    static constexpr uint32_t kAscii = 128;
    static constexpr int kHashBits = 18;
    static uint64_t hash(uint32_t left, uint32_t right);
    bool together(uint32_t left, uint32_t right) const;

    std::vector<uint8_t> ascii_;    // (128, 128), by left and right
    std::vector<uint64_t> hashed_;  // bits: pairs with another character
};

}  // namespace vila::data
