#pragma once

// UTF-8 and the parts of Unicode that tokenizers need: character classes and canonical composition
// (NFC). Bytes that are not valid UTF-8 are kept, never refused.

#include <cstdint>
#include <string>
#include <string_view>

namespace vila::data {

// The code of a broken sequence.
constexpr uint32_t kInvalidCode = 0xFFFFFFFF;

struct Utf8Char {
    uint32_t code = kInvalidCode;
    int64_t bytes = 0;  // its length; of a broken sequence, the bytes that one U+FFFD replaces
};

// Returns the first character of `text`, which must not be empty. Strict: overlong forms and
// surrogates are broken sequences.
Utf8Char first_char(std::string_view text);
// Appends the character in UTF-8.
void append_char(std::string& text, uint32_t code);

// Returns `text` with every broken sequence replaced by U+FFFD, one for each maximal subpart.
std::string valid_utf8(std::string_view text);
// Returns `text` with one U+FFFD for each byte of a broken sequence.
std::string valid_utf8_by_bytes(std::string_view text);
// Returns the number of bytes at the end of `text` that begin a character which more bytes may
// complete.
int64_t incomplete_tail(std::string_view text);

enum class CharClass {
    Letter,  // \p{L}
    Number,  // \p{N}
    Space,   // \s: White_Space
    Other,   // anything else, including broken sequences
};
CharClass char_class(uint32_t code);
// Matches \w: letters, marks, decimal digits, connectors such as '_', joiners.
bool is_word_char(uint32_t code);

// Returns Normalization Form C. Broken sequences stay unchanged, and nothing composes across them.
std::string nfc(std::string_view text);

}  // namespace vila::data
