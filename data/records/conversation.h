#pragma once

// Turns of a conversation as the published files spell them, and where images stand in them.

#include <cstdint>
#include <string>
#include <vector>

#include "data/text/chat_template.h"
#include "tensor/json_fwd.h"

namespace vila::data {

// [{"from": "human", "value": ...}, ...] or [{"role": "user", "content": ...}, ...]. An assistant's
// turn at the beginning and a question without an answer at the end are left out. Throws when a
// field is missing or a role is unknown.
std::vector<Message> read_turns(const Json& turns);

// Puts the placeholders of `images` images where VILA 1.5 puts them. Placeholders stay in their
// place, the text around each is stripped, one space stands between text and a placeholder behind
// it, and a line end follows each. A conversation without any gets all of them at the beginning of
// the first question. Without images, "<image>" in the text is only text and becomes "<IMAGE>".
void place_images(std::vector<Message>& messages, int64_t images);

// `text` with "<image>" written "<IMAGE>", which is no placeholder.
std::string without_placeholders(std::string text);

}  // namespace vila::data
