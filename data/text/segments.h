#pragma once

// From segments of text, special tokens and images to token ids with the loss mask beside them.
// Segments are encoded one by one, so that the mask is exact by construction and training sees what
// generation will see.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/sample.h"
#include "data/text/tokenizer.h"

namespace vila::data {

// Stands in the text of a message for an image.
constexpr std::string_view kImagePlaceholder = "<image>";

// Returns the number of placeholders in `text`.
int64_t count_placeholders(std::string_view text);
// Returns `text` with `images` placeholders in front of it, each on a line of its own.
std::string prepend_placeholders(int64_t images, std::string_view text);

struct Segment {
    enum class Kind {
        Text,   // `text`, encoded as plain text: special tokens are not looked for in it
        Bos,    // the tokenizer's beginning of sequence, if it puts one
        Eos,    // the tokenizer's end of sequence
        Token,  // the vocabulary's token spelled `text`
        Image,  // kImageToken
    };
    Kind kind = Kind::Text;
    std::string text;
    bool is_target = false;

    bool operator==(const Segment&) const = default;
};

// Ids and labels of one sequence, made together; see Sample.
struct TokenizedText {
    std::vector<int32_t> ids;     // (T)
    std::vector<int32_t> labels;  // (T)
};

// Neighbouring text segments that are alike in `is_target` are encoded as one text.
TokenizedText encode_segments(std::span<const Segment> segments, const Tokenizer& tokenizer);

// A raw prompt: beginning of sequence if the tokenizer puts one, then the text with each
// kImagePlaceholder as kImageToken and with added tokens parsed. No targets.
TokenizedText encode_prompt(std::string_view prompt, const Tokenizer& tokenizer);

}  // namespace vila::data
