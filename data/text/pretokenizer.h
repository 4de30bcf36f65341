#pragma once

// Splits text into words before byte-level BPE; no token crosses the end of a word. Hand-written
// scanners for the regular expressions and digit rules in use.

#include <cstdint>
#include <functional>
#include <string_view>

namespace vila::data {

enum class SplitRule {
    Gpt2,    // contractions, letters, numbers and the rest, each with one space before it
    Llama3,  // contractions in any case, numbers in groups of three, line ends on their own
    Qwen2,   // as Llama3, but each digit is a word
    // These rules separate digits (\p{N}) from all other text, which the next rule then splits.
    Digits,     // a run of digits is a word
    EachDigit,  // each digit is a word (SmolLM2, StarCoder)
};

// Returns the regular expression of Gpt2, Llama3 or Qwen2, as tokenizer.json spells it.
std::string_view split_pattern(SplitRule rule);

// Returns the length in bytes of the first word of `text`, which must not be empty: the match of
// the first alternative that matches. Letters, numbers and white space are those of Unicode 16; a
// byte that is not part of valid UTF-8 is a character of its own and none of them.
int64_t next_word(SplitRule rule, std::string_view text);

}  // namespace vila::data
