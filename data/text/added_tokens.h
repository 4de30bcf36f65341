#pragma once

// Added tokens, such as "<|im_start|>": strings that are searched in a text before it is split and
// merged.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "data/text/prefix_trie.h"

namespace vila::data {

struct AddedToken {
    int32_t id = 0;
    std::string content;
    bool single_word = false;  // matches only where no word character touches it
    bool lstrip = false;       // includes the white space before it
    bool rstrip = false;       // includes the white space after it
    bool normalized = false;   // searched in the normalized text, after all others
    bool special = false;
};

// Finds a set of tokens in a text: the leftmost match first, and the longest one at its position.
class AddedTokenFinder {
  public:
    bool empty() const { return tokens_.empty(); }
    void add(const AddedToken& token);

    // Calls on_text(view) and on_token(id) for the parts of `text`, in order. Views are never
    // empty.
    void split(std::string_view text, const std::function<void(std::string_view)>& on_text,
               const std::function<void(int32_t)>& on_token) const;

  private:
    std::vector<AddedToken> tokens_;
    PrefixTrie contents_;  // values are indices into tokens_
};

}  // namespace vila::data
