#pragma once

// The chat templates that have a name: those of LLaVA 1.5 and VILA, and two of this program, "none"
// (the texts alone) and "qa" (the miniature world's).

#include <span>
#include <string_view>
#include <vector>

#include "data/text/message.h"
#include "data/text/segments.h"

namespace vila::data {

struct Conversation;
class SegmentList;

struct NamedTemplate {
    std::string_view name;
    std::string_view system;  // used if the conversation has none
    void (*render)(const NamedTemplate&, const Conversation&, SegmentList&);
    std::string_view user, assistant;  // names of the roles in the text
    std::string_view end;              // ends a turn, or follows the token that ends it
    std::string_view last_end;         // ends the last turn
    std::string_view stop[2];          // tokens that end an answer, besides the tokenizer's own
};

// All of them, in the order in which messages list them.
std::span<const NamedTemplate> named_templates();

// Renders a conversation as ChatTemplate::render() describes. Throws if its roles do not alternate,
// or if it ends with an answer and `generation_prompt` is set, or with a question and it is not.
std::vector<Segment> render(const NamedTemplate& named, std::span<const Message> messages,
                            bool generation_prompt);

}  // namespace vila::data
