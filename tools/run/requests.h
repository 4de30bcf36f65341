#pragma once

// The requests of `vila score` and `vila generate --input`, one JSON object per line:
//   {"id": "a", "prompt": "raw text with <image>", "images": ["x.jpg"], "target": "continuation"}
//   {"id": "a", "messages": [{"role": "user", "content": "..."}], "images": [...]}
// The content of a message may also be a list of parts, as in OpenAI's API:
//   [{"type": "text", "text": "..."}, {"type": "image_url", "image_url": {"url": "x.jpg"}}]
// or {"type": "image", "image": "x.jpg"}; {"type": "image"} alone is the next image of "images". A
// single image may also be given as "image". An image is the name of a file, relative to the folder
// of the requests, or a data: URL with base64. The target is an optional text that follows the
// prompt; its tokens are labeled. A field that is null counts as absent.

#include <filesystem>
#include <string>

#include "tensor/json.h"
#include "tools/base/output_guard.h"
#include "tools/run/prompt_builder.h"

namespace vila::tools {

// Returns the field "id", a text or an integer, as text. Throws if it is missing.
std::string request_id(const Json& request);
struct RequestContext {
    std::filesystem::path folder;  // relative names of images start here
    const OutputGuard& outputs;    // outputs of the command; none of them may be an image
    bool with_target = false;      // append the target; otherwise it is not read
};
// Returns the prompt of a request. Throws if the request has not exactly one of "prompt" and
// "messages", or if a field or an image cannot be read.
Prompt request_prompt(const PromptBuilder& builder, const Json& request,
                      const RequestContext& context);
// Returns true if the request has "messages", which a chat template renders, false if it has a raw
// "prompt".
bool has_messages(const Json& request);

}  // namespace vila::tools
