#pragma once

// How text is prepared for a vocabulary of pieces: cleaned, and given the space that words begin
// with.

#include <cstdint>
#include <string>
#include <string_view>

#include "data/text/charsmap.h"
#include "data/text/prefix_trie.h"
#include "data/text/tokenizer.h"

namespace vila::data {

struct TextRules {
    // Where a space is put in front.
    enum class Prefix {
        Never,
        First,   // of text that begins a sequence
        Always,  // and of text that follows a special token
    };
    Prefix prefix = Prefix::Always;
    bool prefix_unless_space = false;  // not in front of a space
    // Metaspace: spaces are looked at after added tokens have been searched, so that an added token
    // is compared with the text as it was.
    bool after_added_tokens = false;
    bool composes = false;  // to NFC

    // What SentencePiece's own normalizer does.
    bool replaces_broken = false;  // each byte that is not UTF-8 becomes U+FFFD
    bool removes_spaces = false;   // at both ends, and all but one inside
    Charsmap charsmap;             // replacements
    PrefixTrie keeps;              // strings that are not replaced

    // Whether text at this place gets a space in front.
    bool prefixes(TextPlace place) const;
    // `text` as plain text, with that space.
    std::string prepare(std::string_view text, bool with_prefix) const;
};

// `text` with a space for each U+2581.
std::string plain_text(std::string_view text);

}  // namespace vila::data
