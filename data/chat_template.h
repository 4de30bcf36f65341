#pragma once

// Chat templates: from turns of a conversation to token ids with the loss mask beside them. A
// template renders segments that know whether they are targets, and the segments are encoded one by
// one, so that the mask is exact by construction and training sees what generation will see.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/sample.h"
#include "data/tokenizer.h"

namespace vila::data {

// Written in a message where an image stands.
constexpr std::string_view kImagePlaceholder = "<image>";

enum class Role { System, User, Assistant };

struct Message {
    Role role = Role::User;
    std::string text;  // kImagePlaceholder stands for an image
};

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

class ChatTemplate {
  public:
    // Throws an error that lists the names when there is no such template.
    static ChatTemplate named(std::string_view name);
    static std::vector<std::string> names();

    std::string name() const;
    // Whether only images and answers are kept, as in the alignment stage ("plain").
    bool is_plain() const;
    // Turns must go system (optional), then user and assistant in alternation; the answers and what
    // ends them are targets. With `generation_prompt` the last message is the user's and the text
    // ends where the assistant's answer begins.
    std::vector<Segment> render(std::span<const Message> messages,
                                bool generation_prompt = false) const;
    // Ids that end an answer under this template; a vocabulary that lacks them gives fewer.
    std::vector<int32_t> stop_ids(const Tokenizer& tokenizer) const;

    struct Definition;  // one row of the table in chat_template.cpp

  private:
    explicit ChatTemplate(const Definition& definition) : definition_(&definition) {}
    const Definition* definition_;
};

// Neighbouring text segments that are alike in `is_target` are encoded as one text.
TokenizedText encode_segments(std::span<const Segment> segments, const Tokenizer& tokenizer);

// A raw prompt: beginning of sequence if the tokenizer puts one, then the text with each
// kImagePlaceholder as kImageToken and with added tokens parsed. No targets.
TokenizedText encode_prompt(std::string_view prompt, const Tokenizer& tokenizer);

}  // namespace vila::data
