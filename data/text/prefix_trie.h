#pragma once

// A set of strings with values, searched for the longest string that is a prefix of a text.

#include <bitset>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace vila::data {

class PrefixTrie {
  public:
    bool empty() const { return ends_.size() == 1; }
    // `value` is not negative. If a key is added several times, its last value counts. Ignores
    // empty keys.
    void add(std::string_view key, int64_t value);
    // Returns whether a key begins with this byte. Most positions of a text are ruled out by it.
    bool may_begin(char byte) const { return first_[static_cast<uint8_t>(byte)]; }

    struct Match {
        int64_t value = -1;  // -1: none
        size_t bytes = 0;
    };
    // Finds the longest key that is a prefix of `text`.
    Match longest(std::string_view text) const;

  private:
    std::bitset<256> first_;
    std::unordered_map<uint64_t, int32_t> edges_;  // (node, byte) -> node
    std::vector<int64_t> ends_ = {-1};             // node -> value of the key that ends there
};

}  // namespace vila::data
