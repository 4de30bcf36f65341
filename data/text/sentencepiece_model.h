#pragma once

// The .model file of the SentencePiece library (Kudo and Richardson 2018, SentencePiece: A simple
// and language independent subword tokenizer and detokenizer for Neural Text Processing): one
// protobuf message, read without a protobuf library and without trust.
//
// Here: the fields that have a part in ids. Not here: what follows from them (piece_format.h).

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
    // Defaults are those of an absent field.
    Algorithm algorithm = Algorithm::Unigram;
    bool whitespace_is_suffix = false;
    bool byte_fallback = false;
    std::string unknown_surface = " \u2047 ";  // what an unknown piece decodes to
    std::string bos_piece = "<s>", eos_piece = "</s>", pad_piece = "<pad>";
    std::string normalizer;  // its name
    std::string charsmap;    // see charsmap.h; empty: text is taken as it is
    bool add_dummy_prefix = true;
    bool remove_extra_whitespaces = true;
    bool escape_whitespaces = true;
    std::string denormalizer_charsmap;
};

// Throws one line that begins with `where` for anything that is not such a message: cut or overlong
// fields, fields of another wire type, groups, scores that are not numbers.
SentencePieceModel read_sentencepiece_model(std::string_view bytes, const std::string& where);

}  // namespace vila::data
