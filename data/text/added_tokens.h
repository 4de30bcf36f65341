#pragma once

// Added tokens: whole strings that are found in a text before anything else looks at it, such as
// "<|im_start|>".

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
    bool single_word = false;  // only where no word character touches it
    bool lstrip = false;       // takes the white space before it along
    bool rstrip = false;       // takes the white space behind it along
    bool normalized = false;   // looked for in the normalized text, after all others
    bool special = false;
};

// Finds the leftmost, and there the longest, of a set of tokens.
class AddedTokenFinder {
  public:
    bool empty() const { return tokens_.empty(); }
    void add(const AddedToken& token);

    // Calls on_text(view) and on_token(id) for the pieces of `text`, in order; no empty texts.
    void split(std::string_view text, const std::function<void(std::string_view)>& on_text,
               const std::function<void(int32_t)>& on_token) const;

  private:
    std::vector<AddedToken> tokens_;
    PrefixTrie contents_;  // to indices of tokens_
};

}  // namespace vila::data
