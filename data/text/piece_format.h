#pragma once

// Vocabularies of pieces of text, as SentencePiece makes them and Llama 1 and 2, Vicuna and Yi use
// them: what tokenizer.model or tokenizer.json say, brought into one form.
//
// In this form text is *plain*: the character U+2581, which the files write for a space, is a
// space. Nothing is lost by that, because text that has been prepared (text_rules.h) has no space
// of its own.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/text/added_tokens.h"
#include "data/text/bpe_merges.h"
#include "data/text/text_rules.h"
#include "data/text/tokenizer.h"

namespace vila::data {

struct PieceDefinition {
    enum class Kind : uint8_t {
        None,         // an id without a token
        Normal,       // found by merging
        Unused,       // found by merging, then taken apart again
        UserDefined,  // found in the text before merging
        Byte,         // one byte of a character that no piece has
        Hidden,       // never found in text: control tokens and the unknown token
    };
    struct Piece {
        std::string spelling;  // as in the file
        std::string plain;     // what it is in plain text; empty unless text leads to it
        std::string decoded;   // what it stands for in decoded text
        Kind kind = Kind::None;
        bool is_special = false;
        bool sheds_space = false;  // without its first space where it begins a decoded text
    };
    struct Merge {
        int32_t left = 0, right = 0;
        BpeMerges::Merge result;
    };

    std::vector<Piece> pieces;  // index is the id
    // Characters that pieces are made of without being pieces: symbols pieces.size(), and so on.
    std::vector<std::string> loose_characters;
    std::vector<Merge> merges;  // of symbols; of several for one pair the last counts
    std::vector<AddedToken> added;
    TextRules rules;
    bool byte_fallback = false;     // unknown characters become bytes, or else
    int32_t unknown_id = -1;        // this, which then is a piece;
    bool fuses_unknown = true;      // one for a run of them
    bool ignore_merges = false;     // a text that is a piece is not merged from characters
    bool splits_at_spaces = false;  // a space begins a word, and no merge crosses words
    bool sheds_space = false;       // decoding drops a first space
    bool sheds_all_spaces = false;  // decoding drops spaces until something else has come
    bool marks_are_spaces = false;  // U+2581 in text is one before added tokens are looked for
    bool lone_prefix = false;       // a space goes before an added token that begins a sequence
    Tokenizer::Broken broken = Tokenizer::Broken::Sequence;
    std::string bos, eos, pad;  // empty: none
    bool adds_bos = false;
};

// Whether tokenizer.json holds a vocabulary of this kind rather than byte-level BPE.
bool is_piece_json(const TokenizerFiles& files, const std::string& where);

// From tokenizer.json. Throws for settings that would change ids and are not implemented.
PieceDefinition read_piece_json(const TokenizerFiles& files, const std::string& where);
// From tokenizer.model and the configuration files beside it, as the Llama tokenizer of
// transformers wraps it, in its `legacy` form or the other.
PieceDefinition read_piece_model(const TokenizerFiles& files, const std::string& where);

}  // namespace vila::data
