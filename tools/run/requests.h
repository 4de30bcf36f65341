#pragma once

// Requests to a model, as `vila score` and `vila generate --input` read them, one JSON object per
// line:
//   {"id": "a", "prompt": "raw text with <image>", "images": ["x.jpg"], "target": "continuation"}
//   {"id": "a", "messages": [{"role": "user", "content": "..."}], "images": [...]}
// The content of a message may also be a list of parts, as in OpenAI's API:
//   [{"type": "text", "text": "..."}, {"type": "image_url", "image_url": {"url": "x.jpg"}}]
// or {"type": "image", "image": "x.jpg"}; {"type": "image"} alone stands for the next of "images".
// A single image may also stand in "image". An image is a file, relative to the file of the
// requests, or a data: URL with base64.
// The target is optional; its tokens are labeled. A field that is null counts as absent.

#include <filesystem>
#include <string>

#include "tensor/json.h"
#include "tools/base/output_guard.h"
#include "tools/run/prompt_builder.h"

namespace vila::tools {

// The field "id": its text, or its JSON if it is not a string. Throws if it is missing.
std::string request_id(const Json& request);
struct RequestPlace {
    const std::string& where;      // the line, for messages
    std::filesystem::path folder;  // of its images
    const OutputGuard& outputs;    // must not be among its images
};
// The prompt of a request. Throws, with the line in front, for a request of neither form and for
// what cannot be read of it.
Prompt request_prompt(const PromptBuilder& builder, const Json& request, const RequestPlace& place);

}  // namespace vila::tools
