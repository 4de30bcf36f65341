#pragma once

// Added tokens: whole strings that are found in a text before anything else looks at it, such as
// "<|im_start|>".

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace vila::data {

struct AddedToken {
    int32_t id = 0;
    std::string content;
    bool single_word = false;  // only where no letter, number or underscore touches it
    bool lstrip = false;       // takes the white space before it along
    bool rstrip = false;       // takes the white space behind it along
    bool normalized = false;   // looked for in the normalized text, after all others
    bool special = false;
};

// Finds the leftmost, and there the longest, of a set of tokens.
class AddedTokenFinder {
  public:
    void add(const AddedToken& token);

    // Calls on_text(view) and on_token(id) for the pieces of `text`, in order; no empty texts.
    void split(std::string_view text, const std::function<void(std::string_view)>& on_text,
               const std::function<void(int32_t)>& on_token) const;

  private:
    // The longest token at `offset` as an index into tokens_, or -1.
    int64_t longest_at(std::string_view text, size_t offset) const;

    std::vector<AddedToken> tokens_;
    std::unordered_map<uint64_t, int32_t> edges_;  // trie: (node, byte) -> node
    std::vector<int64_t> ends_ = {-1};             // trie: node -> token that ends there
};

}  // namespace vila::data
