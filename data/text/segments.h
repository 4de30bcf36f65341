#pragma once

// Encodes segments of text, special tokens and images to token ids and labels. Segments are encoded
// one by one, so that the loss mask is exact by construction and training sees the same ids as
// generation.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/sample.h"
#include "data/text/tokenizer.h"

namespace vila::data {

// Stands for an image in the text of a message.
constexpr std::string_view kImagePlaceholder = "<image>";

// Returns the number of placeholders in `text`.
int64_t count_placeholders(std::string_view text);
// Returns `text` without its placeholders.
std::string remove_placeholders(std::string text);
// Returns `text` with `images` placeholders in front of it, each on a line of its own.
std::string prepend_placeholders(int64_t images, std::string_view text);

struct Segment {
    enum class Kind {
        Text,    // `text`, encoded as plain text: special tokens in it are not parsed
        Bos,     // the tokenizer's beginning of sequence, if it adds one
        Eos,     // the tokenizer's end of sequence
        Token,   // the token that the vocabulary spells `text`
        Image,   // kImageToken
        Markup,  // `text` with the vocabulary's added tokens in it, as Jinja templates print it
    };
    Kind kind = Kind::Text;
    std::string text;
    bool is_target = false;

    bool operator==(const Segment&) const = default;
};

// Ids and labels of one sequence; see Sample.
struct TokenizedText {
    std::vector<int32_t> ids;     // (T)
    std::vector<int32_t> labels;  // (T)
};

// Encodes segments in order. Adjacent text segments with equal `is_target` are encoded as one text.
TokenizedText encode_segments(std::span<const Segment> segments, const Tokenizer& tokenizer);

// Encodes a raw prompt: the beginning of sequence if the tokenizer adds one, then the text, with
// each kImagePlaceholder as kImageToken and with added tokens parsed. It has no targets.
TokenizedText encode_prompt(std::string_view prompt, const Tokenizer& tokenizer);

}  // namespace vila::data
