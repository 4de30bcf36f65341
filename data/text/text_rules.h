#pragma once

// Prepares text for a vocabulary of pieces: normalizes it and adds the space in front of the first
// word.

#include <cstdint>
#include <string>
#include <string_view>

#include "data/text/charsmap.h"
#include "data/text/prefix_trie.h"
#include "data/text/tokenizer.h"

namespace vila::data {

struct TextRules {
    // Which texts get a space in front.
    enum class Prefix {
        Never,
        First,   // text that begins a sequence
        Always,  // also text that follows a special token
    };
    Prefix prefix = Prefix::Always;
    bool prefix_unless_space = false;  // text that begins with a space gets no second one
    // Metaspace: the prefix is added after the search for added tokens.
    bool after_added_tokens = false;
    // With after_added_tokens: U+2581 becomes a space before added tokens are searched.
    bool plain_added_tokens = false;
    bool composes = false;  // normalizes to NFC

    // SentencePiece's own normalizer.
    bool replaces_broken = false;  // each byte that is not UTF-8 becomes U+FFFD
    bool removes_spaces = false;   // removes spaces at both ends and reduces runs to one
    Charsmap charsmap;             // replacements
    PrefixTrie keeps;              // strings that are not replaced

    // With after_added_tokens: returns the text in which added tokens are searched.
    std::string searched(std::string_view text) const;
    // Returns whether text at this place gets a space in front.
    bool prefixes(TextPlace place) const;
    // Returns `text` as plain text, with that space if `with_prefix`.
    std::string prepare(std::string_view text, bool with_prefix) const;
};

// Returns `text` with a space for each U+2581.
std::string plain_text(std::string_view text);

}  // namespace vila::data
