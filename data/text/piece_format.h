#pragma once

// Reads vocabularies of pieces of text, as SentencePiece makes them and Llama 1 and 2, Vicuna and
// Yi use them, from tokenizer.model or tokenizer.json into one form.
//
// In this form text is *plain*: the character U+2581, which the files write for a space, is a
// space. That loses nothing, because prepared text (text_rules.h) contains no other spaces.

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
        Byte,         // one byte of a character that is in no piece
        Hidden,       // never found in text: control tokens and the unknown token
    };
    struct Piece {
        std::string spelling;  // as in the file
        std::string plain;     // in plain text; empty if it cannot result from text
        std::string decoded;   // in decoded text
        Kind kind = Kind::None;
        bool is_special = false;
        bool sheds_space = false;  // loses its first space at the beginning of decoded text
    };
    struct Merge {
        int32_t left = 0, right = 0;
        BpeMerges::Merge result;
    };

    std::vector<Piece> pieces;  // index is the id
    // Characters of pieces that are no pieces themselves: symbols pieces.size() and up.
    std::vector<std::string> loose_characters;
    std::vector<Merge> merges;  // of symbols; the last merge of a pair counts
    std::vector<AddedToken> added;
    TextRules rules;
    bool byte_fallback = false;     // an unknown character whose bytes all have tokens becomes them
    int32_t unknown_id = -1;        // the id of other unknown characters; -1: they are dropped
    bool fuses_unknown = true;      // a run of unknown characters becomes one unknown_id
    bool ignore_merges = false;     // a text that is a piece is not merged from characters
    bool splits_at_spaces = false;  // a space begins a word, and no merge crosses words
    bool sheds_space = false;       // decoding drops the first space of a text
    bool sheds_all_spaces = false;  // decoding drops all spaces at the beginning of a text
    bool marks_are_spaces = false;  // U+2581 in text becomes a space before added tokens are found
    bool lone_prefix = false;       // an added token that begins a sequence gets a space in front
    Tokenizer::Broken broken = Tokenizer::Broken::Sequence;
    std::string bos, eos, pad;  // empty: none
    bool adds_bos = false;
};

// Returns whether tokenizer.json holds a vocabulary of this kind rather than byte-level BPE.
bool is_piece_json(const TokenizerFiles& files, const std::string& where);

// Reads tokenizer.json. Throws if a setting that is not implemented would change ids.
PieceDefinition read_piece_json(const TokenizerFiles& files, const std::string& where);
// Reads tokenizer.model and the configuration files beside it, as the Llama tokenizer of
// transformers wraps them, in its `legacy` form or the newer one.
PieceDefinition read_piece_model(const TokenizerFiles& files, const std::string& where);

}  // namespace vila::data
