#pragma once

// The simple regular expressions by which some vocabularies split text (DeepSeek): a few character
// classes, the last of them repeated, such as \s?[A-Za-z]+ or \p{N}{1,3}. Splitting takes linear
// time.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/text/unicode.h"

namespace vila::data {

class SplitPattern {
  public:
    // Returns nothing for an expression with anything else: alternatives, groups, other classes, or
    // an unbounded repetition before the last class.
    static std::optional<SplitPattern> parse(const std::string& regex);

    const std::string& regex() const { return regex_; }
    // Returns the length in bytes of the match at the beginning of `text`; if there is none, of
    // what precedes the first match. `text` must not be empty.
    int64_t next_word(std::string_view text) const;

  private:
    struct Set {
        bool negated = false;
        std::vector<CharClass> classes;                     // \p{L}, \p{N}, \s
        std::vector<std::pair<uint32_t, uint32_t>> ranges;  // first and last code
        int64_t least = 1, most = 1;                        // repetitions
        bool holds(uint32_t code) const;
    };

    bool parse_sets(std::string_view regex);
    // Returns the length of the match of the sets from `set` on; -1 for none.
    int64_t match(std::string_view text, size_t set) const;

    std::string regex_;
    std::vector<Set> sets_;
    bool at_end_ = false;  // ends in $: matches only at the end of a line
};

}  // namespace vila::data
