#pragma once

// tokenizer.json and tokenizer_config.json of byte-level BPE vocabularies, as Hugging Face
// tokenizers and transformers read and write them.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "data/text/added_tokens.h"
#include "data/text/pretokenizer.h"
#include "data/text/tokenizer.h"

namespace vila::data {

// What the files say, spelled as they spell it: bytes as printable characters.
struct BpeDefinition {
    std::vector<std::string> vocabulary;  // index is the id; empty where there is no token
    std::vector<std::pair<std::string, std::string>> merges;  // lowest rank first
    std::vector<AddedToken> added;  // their ids may lie beyond the vocabulary
    SplitRule split = SplitRule::Gpt2;
    bool composes = false;       // normalizes text to NFC
    bool ignore_merges = false;  // a word that is a token is not merged from bytes
    bool adds_bos = false;       // a sequence begins with `bos`
    std::string bos, eos, pad;   // empty: none
};

// The printable character that stands for a byte, in UTF-8: printable Latin-1 for itself, the other
// 68 bytes in order from U+0100 on.
std::string byte_symbol(uint8_t byte);
// The bytes that a spelling stands for; false if it holds a character that stands for none.
bool bytes_of_spelling(std::string_view spelling, std::string& bytes);

// Throws for a vocabulary of another kind and for settings that would change ids and are not
// implemented. `where` names the directory in errors.
BpeDefinition read_bpe(const TokenizerFiles& files, const std::string& where);

TokenizerFiles write_bpe(const BpeDefinition& definition);

}  // namespace vila::data
