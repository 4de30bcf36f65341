#pragma once

// Reads and writes tokenizer.json and tokenizer_config.json of byte-level BPE vocabularies, in the
// format of Hugging Face tokenizers and transformers.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/text/added_tokens.h"
#include "data/text/pretokenizer.h"
#include "data/text/split_pattern.h"
#include "data/text/tokenizer.h"

namespace vila::data {

// One step of splitting text into words: by a rule, or by a pattern if there is one.
struct SplitStep {
    SplitRule rule = SplitRule::Gpt2;
    std::optional<SplitPattern> pattern;

    int64_t next_word(std::string_view text) const {
        return pattern ? pattern->next_word(text) : data::next_word(rule, text);
    }
};

// The content of the files, with tokens spelled as in the files: bytes as printable characters.
struct BpeDefinition {
    std::vector<std::string> vocabulary;  // index is the id; empty where there is no token
    std::vector<std::pair<std::string, std::string>> merges;  // lowest rank first
    std::vector<AddedToken> added;  // their ids may lie beyond the vocabulary
    std::vector<SplitStep> splits;  // each splits the words of the one before it
    // The token of bytes that the vocabulary lacks; empty: they are dropped.
    std::string unknown;
    bool fuses_unknown = false;  // a run of such bytes in a word becomes one `unknown`
    bool composes = false;       // normalizes text to NFC
    bool ignore_merges = false;  // a word that is a token is not merged from bytes
    bool adds_bos = false;       // a sequence begins with `bos`
    std::string bos, eos, pad;   // empty: none
};

// Returns the printable character that stands for a byte, in UTF-8: printable Latin-1 characters
// stand for themselves, U+0100 and up for the other 68 bytes in order.
std::string byte_symbol(uint8_t byte);
// Finds the bytes that a spelling stands for. Returns false if one of its characters stands for no
// byte.
bool bytes_of_spelling(std::string_view spelling, std::string& bytes);

// Reads a vocabulary. Throws if it is of another kind, or if a setting that is not implemented
// would change ids. `where` names the directory in errors.
BpeDefinition read_bpe(const TokenizerFiles& files, const std::string& where);

// Returns the files of a vocabulary.
TokenizerFiles write_bpe(const BpeDefinition& definition);

}  // namespace vila::data
