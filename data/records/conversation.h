#pragma once

// Reads the turns of a conversation as published files spell them, and places images in them.

#include <cstdint>
#include <string>
#include <vector>

#include "data/text/chat_template.h"
#include "tensor/json_fwd.h"

namespace vila::data {

// Reads [{"from": "human", "value": ...}, ...] or [{"role": "user", "content": ...}, ...]. Leaves
// out the assistant's turns before the first question, as LLaVA and VILA do, and a question without
// an answer at the end unless it is the only turn. All other turns are kept, also where they do not
// alternate: the chat template renders or refuses them. Throws if a field is missing or a role is
// unknown.
std::vector<Message> read_turns(const Json& turns);

// Places `images` images as VILA 1.5 does. Existing placeholders keep their places: the text around
// each is stripped, one space separates it from text before it, and a line end follows it unless it
// ends the text. A conversation without placeholders gets all of them at the beginning of the first
// question. If `images` is 0, "<image>" in the text is only text and becomes "<IMAGE>".
void place_images(std::vector<Message>& messages, int64_t images);

// Returns `text` with "<image>" replaced by "<IMAGE>", which is not a placeholder.
std::string without_placeholders(std::string text);

}  // namespace vila::data
