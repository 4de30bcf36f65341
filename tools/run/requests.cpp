#include "tools/run/requests.h"

#include "data/image/base64.h"
#include "data/records/conversation.h"
#include "data/records/json_record.h"
#include "tools/base/json_lines.h"

namespace vila::tools {

namespace {

using data::find_field;

// Fields of requests to servers that would change the answer.
constexpr const char* kSettings[] = {
    "max_tokens", "max_completion_tokens", "temperature", "top_p", "stop", "seed", "system",
    "tools"};
constexpr size_t kShownUrl = 40;  // characters of an address in messages

data::Role role_from_name(const std::string& name) {
    const std::optional<data::Role> role = data::role_named(name);
    VILA_CHECK(role.has_value(), "role \"", name, "\": expected system, user or assistant");
    return *role;
}

// Returns the image in a part of a message, as a file name or a data: URL; empty if the part gives
// none.
std::string image_of_part(const Json& part) {
    const Json* image = find_field(part, {"image_url", "image", "url", "path"});
    if (image == nullptr) return "";
    if (image->is_object()) image = &data::field(*image, {"url"});
    VILA_CHECK(image->is_string(), "an image: expected the name of a file, got ", shown(*image));
    return *image;
}

// Opens the image of a data: URL (RFC 2397) whose data is base64.
PromptImage open_data_url(std::string_view url) {
    const size_t comma = url.find(',');
    VILA_CHECK(comma != std::string_view::npos && url.substr(0, comma).ends_with(";base64"),
               "the image ", url.substr(0, kShownUrl),
               "...: expected data:image/TYPE;base64, and the data");
    std::string name(url.substr(0, std::min(comma, kShownUrl)));
    try {
        auto encoded = std::make_shared<const std::vector<uint8_t>>(
            data::base64_decode(url.substr(comma + 1)));
        return {std::move(encoded), std::move(name)};
    } catch (const Error& error) {
        throw Error(str("the image ", name, ": ", error.what()));
    }
}

// Opens an image that a request names: a file, relative to the folder of the requests, or a data:
// URL.
PromptImage open_image(std::string name, const RequestContext& context) {
    if (name.starts_with("data:")) return open_data_url(name);
    if (name.starts_with("file://")) name.erase(0, 7);
    VILA_CHECK(name.find("://") == std::string::npos, "the image ", name.substr(0, kShownUrl),
               " is an address: expected the name of a file or a data: URL; download the image "
               "first");
    const std::string file = (context.folder / name).string();
    context.outputs.check_input("the image", file);
    return PromptImage(data::ImageRef{.path = file});
}

// Returns the text of a message whose content is a list of parts, with a placeholder for each
// image. Appends the images that the parts name to `named`.
std::string text_of_parts(const Json& parts, std::vector<std::string>& named) {
    std::string text;
    for (const Json& part : parts) {
        VILA_CHECK(part.is_object(), "a part of \"content\": expected an object, got ",
                   shown(part));
        const std::string type = data::text_field(part, {"type"});
        if (type == "text" || type == "input_text") {
            text += data::without_placeholders(data::text_field(part, {"text"}));
            continue;
        }
        VILA_CHECK(type == "image_url" || type == "image" || type == "input_image",
                   "a part of type \"", type, "\": expected text, image_url or image");
        text += data::kImagePlaceholder;
        if (const std::string name = image_of_part(part); !name.empty()) named.push_back(name);
    }
    return text;
}

std::vector<data::Message> read_messages(const Json& list, std::vector<std::string>& named) {
    VILA_CHECK(list.is_array(), "\"messages\": expected a list, got ", shown(list));
    std::vector<data::Message> messages;
    for (const Json& message : list) {
        const data::Role role = role_from_name(data::text_field(message, {"role"}));
        VILA_CHECK(
            find_field(message, {"image", "images"}) == nullptr,
            "a message has an image beside its content: name it in \"images\" of the request "
            "or in a part of \"content\"");
        const Json& content = data::field(message, {"content"});
        messages.push_back({role, content.is_array() ? text_of_parts(content, named)
                                                     : data::text_field(message, {"content"})});
    }
    return messages;
}

}  // namespace

std::string request_id(const Json& request) {
    return id_field(request, "id");
}

bool has_messages(const Json& request) {
    return find_field(request, {"messages"}) != nullptr;
}

Prompt request_prompt(const PromptBuilder& builder, const Json& request,
                      const RequestContext& context) {
    for (const char* name : kSettings)
        VILA_CHECK(find_field(request, {name}) == nullptr, "field \"", name,
                   "\": settings of a request are not read; give options on the command line");
    const Json* text = find_field(request, {"prompt"});
    const Json* list = find_field(request, {"messages"});
    VILA_CHECK((text == nullptr) != (list == nullptr),
               "expected either \"prompt\" or \"messages\"");
    std::vector<std::string> images = image_names(request);
    std::vector<std::string> named;  // images that parts of messages name
    std::vector<data::Message> messages;
    if (list != nullptr) messages = read_messages(*list, named);
    VILA_CHECK(named.empty() || images.empty(),
               "images are named both in \"images\" and in \"messages\": name them in one place");
    if (!named.empty()) images = named;
    std::vector<PromptImage> opened;
    for (const std::string& image : images) opened.push_back(open_image(image, context));
    Prompt prompt = text != nullptr
                        ? builder.raw_prompt(data::text_field(request, {"prompt"}), opened)
                        : builder.chat_prompt(std::move(messages), opened);
    if (context.with_target && find_field(request, {"target"}) != nullptr)
        prompt = builder.with_target(prompt, data::text_field(request, {"target"}));
    return prompt;
}

}  // namespace vila::tools
