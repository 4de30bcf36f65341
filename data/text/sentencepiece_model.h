#pragma once

// The .model file of the SentencePiece library (Kudo and Richardson 2018, SentencePiece: A simple
// and language independent subword tokenizer and detokenizer for Neural Text Processing): one
// protobuf message, read without a protobuf library and without trusting the file.
//
// Only the fields that affect ids are read; piece_format.h interprets them.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace vila::data {

struct SentencePieceModel {
    enum class Type { Normal = 1, Unknown, Control, UserDefined, Unused, Byte };
    struct Piece {
        std::string text;
        float score = 0;
        Type type = Type::Normal;
    };
    enum class Algorithm { Unigram = 1, Bpe, Word, Char };

    std::vector<Piece> pieces;  // index is the id
    // The defaults are the values of absent fields.
    Algorithm algorithm = Algorithm::Unigram;
    bool whitespace_is_suffix = false;
    bool byte_fallback = false;
    std::string unknown_surface = " \u2047 ";  // decoded form of an unknown piece
    std::string bos_piece = "<s>", eos_piece = "</s>", pad_piece = "<pad>";
    std::string normalizer;  // its name
    std::string charsmap;    // see charsmap.h; empty: no replacements
    bool add_dummy_prefix = true;
    bool remove_extra_whitespaces = true;
    bool escape_whitespaces = true;
    std::string denormalizer_charsmap;
};

// Parses a model. Throws one line that begins with `where` if the bytes are not such a message: cut
// or overlong fields, fields of another wire type, groups, scores that are not numbers.
SentencePieceModel read_sentencepiece_model(std::string_view bytes, const std::string& where);

}  // namespace vila::data
