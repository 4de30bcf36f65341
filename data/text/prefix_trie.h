#pragma once

// A set of strings that answers: which is the longest that begins here?

#include <bitset>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace vila::data {

class PrefixTrie {
  public:
    bool empty() const { return ends_.size() == 1; }
    // `value` is not negative. Of several values for one key the last counts. Empty keys are left
    // out.
    void add(std::string_view key, int64_t value);
    // Whether a key begins with this byte: most places need no further look.
    bool may_begin(char byte) const { return first_[static_cast<uint8_t>(byte)]; }

    struct Match {
        int64_t value = -1;  // -1: none
        size_t bytes = 0;
    };
    // The longest key that `text` begins with.
    Match longest(std::string_view text) const;

  private:
    std::bitset<256> first_;
    std::unordered_map<uint64_t, int32_t> edges_;  // (node, byte) -> node
    std::vector<int64_t> ends_ = {-1};             // node -> value of the key that ends there
};

}  // namespace vila::data
