#pragma once

// UTF-8 and the parts of Unicode that tokenizers need: classes of characters and the canonical
// composition (NFC). Bytes that are not valid UTF-8 are kept, never refused.

#include <cstdint>
#include <string>
#include <string_view>

namespace vila::data {

// The code of a character that is none: part of a broken sequence.
constexpr uint32_t kInvalidCode = 0xFFFFFFFF;

struct Utf8Char {
    uint32_t code = kInvalidCode;
    int64_t bytes = 0;  // how many bytes it takes; of a broken sequence, what U+FFFD stands for
};

// The first character of `text`, which must not be empty. Strict: overlong forms and surrogates are
// broken sequences.
Utf8Char first_char(std::string_view text);
void append_char(std::string& text, uint32_t code);

// `text` with every broken sequence replaced by U+FFFD, one for each maximal subpart.
std::string valid_utf8(std::string_view text);
// The same with one U+FFFD for each byte of a broken sequence.
std::string valid_utf8_by_bytes(std::string_view text);
// How many bytes at the end of `text` begin a character that further bytes may complete.
int64_t incomplete_tail(std::string_view text);

enum class CharClass {
    Letter,  // \p{L}
    Number,  // \p{N}
    Space,   // \s: White_Space
    Other,   // anything else, broken sequences too
};
CharClass char_class(uint32_t code);
// \w: letters, marks, decimal digits, connectors such as '_', joiners.
bool is_word_char(uint32_t code);

// Normalization Form C. Broken sequences stay as they are, and nothing composes across them.
std::string nfc(std::string_view text);

}  // namespace vila::data
