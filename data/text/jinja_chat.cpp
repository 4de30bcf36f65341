#include "data/text/jinja_chat.h"

#include <algorithm>

#include "data/text/tokenizer_json.h"
#include "tensor/check.h"

namespace vila::data {

namespace {

// Texts that no template contains.
constexpr std::string_view kProbe = "probe of the template";
constexpr std::string_view kNextProbe = "next question to the template";

const char* role_name(Role role) {
    return role == Role::System ? "system" : role == Role::User ? "user" : "assistant";
}

// Returns the text between placeholders, and an image for each placeholder. The line end after a
// placeholder is dropped, because the template prints its own.
Json parts_of_text(std::string_view text) {
    Json parts = Json::array();
    while (true) {
        const size_t at = text.find(kImagePlaceholder);
        if (at != 0 && !text.empty())
            parts.push_back({{"type", "text"}, {"text", text.substr(0, at)}});
        if (at == std::string_view::npos) return parts;
        parts.push_back({{"type", "image"}});
        text.remove_prefix(at + kImagePlaceholder.size());
        if (text.starts_with('\n')) text.remove_prefix(1);
    }
}

int64_t count_text(std::string_view text, std::string_view part) {
    int64_t count = 0;
    for (size_t at = text.find(part); at != std::string_view::npos;
         at = text.find(part, at + part.size()))
        ++count;
    return count;
}

// Appends text that a template printed; each `image_token` becomes an image.
void append_markup(std::string_view text, std::string_view image_token, bool is_target,
                   std::vector<Segment>& segments) {
    while (true) {
        const size_t at = text.find(image_token);
        if (at != 0 && !text.empty())
            segments.push_back({Segment::Kind::Markup, std::string(text.substr(0, at)), is_target});
        if (at == std::string_view::npos) return;
        segments.push_back({Segment::Kind::Image, "", false});
        text.remove_prefix(at + image_token.size());
    }
}

Json json_message(Role role, Json content) {
    return {{"role", role_name(role)}, {"content", std::move(content)}};
}

// Returns the text that `changed` has in addition to `original`. It may be ambiguous: "<a><b>" has
// "<a>" or "a><" more than "<b>". Prefers text that begins with "<" or "[", as a token does.
std::string changed_text(std::string_view changed, std::string_view original) {
    const size_t common = std::min(changed.size(), original.size());
    size_t begin = 0, end = 0;  // equal bytes in front, and at the end
    while (begin < common && changed[begin] == original[begin]) ++begin;
    while (end < common - begin &&
           changed[changed.size() - 1 - end] == original[original.size() - 1 - end])
        ++end;
    const size_t size = changed.size() - begin - end;
    const auto begins_token = [&](size_t at) { return changed[at] == '<' || changed[at] == '['; };
    size_t shifted = begin;
    while (size > 0 && shifted > 0 && !begins_token(shifted) &&
           changed[shifted - 1] == changed[shifted + size - 1])
        --shifted;
    if (size > 0 && begins_token(shifted)) begin = shifted;
    return std::string(changed.substr(begin, size));
}

// Returns the text that `render` returns. If it throws Error, returns "" and sets `refusal` to the
// message.
template <typename Render>
std::string text_or_refusal(const Render& render, std::string& refusal) {
    try {
        return render();
    } catch (const Error& error) {
        refusal = error.what();
        return "";
    }
}

// Returns the source in a "chat_template" entry: a string, a list of {"name", "template"}, or an
// object with a source under each name.
std::string source_of(const Json& entry, const std::string& where) {
    if (entry.is_string()) return entry.get<std::string>();
    std::vector<std::pair<std::string, std::string>> named;
    const auto add = [&](const Json& name, const Json& source) {
        VILA_CHECK(name.is_string() && source.is_string(), where,
                   ": field chat_template: expected names and templates as text");
        named.emplace_back(name.get<std::string>(), source.get<std::string>());
    };
    if (entry.is_object())
        for (const auto& [name, source] : entry.items()) add(name, source);
    if (entry.is_array())
        for (const Json& one : entry)
            add(one.is_object() ? one.value("name", Json()) : Json(),
                one.is_object() ? one.value("template", Json()) : Json());
    std::string names;
    for (const auto& [name, source] : named) {
        if (name == "default" || named.size() == 1) return source;
        names += (names.empty() ? "" : ", ") + name;
    }
    throw Error(
        str(where,
            ": field chat_template: expected a template, or several with one named default, got ",
            names.empty() ? shown(entry) : names));
}

// Returns the variables that transformers gives to templates: the special tokens that are set.
Json special_tokens_of(const TokenizerFiles& files, const std::string& where) {
    const Json config = read_tokenizer_config(files, where);
    Json tokens = Json::object();
    for (const char* key : {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token",
                            "cls_token", "mask_token"})
        if (const std::string token = token_named(config, key, where); !token.empty())
            tokens[key] = token;
    return tokens;
}

}  // namespace

JinjaChat::JinjaChat(std::string_view source, const std::string& where, Json special_tokens)
    : where_(where),
      source_(source),
      template_(source, where),
      special_tokens_(std::move(special_tokens)) {
    std::string refusal;
    const auto asked = [&](const Json& content) {
        const Json messages = Json::array({json_message(Role::User, content)});
        return text_or_refusal([&] { return rendered(messages, true); }, refusal);
    };
    const auto prints_probe = [](const std::string& text) {
        return text.find(kProbe) != std::string::npos;
    };
    const Json part = {{"type", "text"}, {"text", kProbe}}, image = {{"type", "image"}};
    const std::string text = asked(kProbe), parts = asked(Json::array({part}));
    const bool reads_text = prints_probe(text);
    VILA_CHECK(reads_text || prints_probe(parts) || refusal.empty(), refusal);
    VILA_CHECK(
        reads_text || prints_probe(parts), where,
        ": the chat template does not print what the user says; use another with --template");
    // A template that reads text and parts prints the same for both. If the texts differ, it has
    // printed the list itself.
    if (!reads_text || parts == text)
        image_marker_ = changed_text(asked(Json::array({image, part})), parts);
    if (!reads_text)
        content_ = Content::Parts;
    else if (!image_marker_.empty())
        content_ = Content::PartsWithImages;
}

std::shared_ptr<JinjaChat> JinjaChat::from_files(const TokenizerFiles& files,
                                                 const std::string& where) {
    const auto made = [&](const std::string& source, const char* file) {
        return from_source(source, str(where, "/", file), files, where);
    };
    if (const auto file = files.find("chat_template.jinja"); file != files.end())
        return made(file->second, "chat_template.jinja");
    for (const char* name : {"chat_template.json", "tokenizer_config.json"}) {
        if (!files.contains(name)) continue;
        const Json json = parse_json_file(files, name, where);
        const auto entry = json.find("chat_template");
        if (entry != json.end() && !entry->is_null())
            return made(source_of(*entry, str(where, "/", name)), name);
    }
    return nullptr;
}

std::shared_ptr<JinjaChat> JinjaChat::from_source(std::string_view source, const std::string& where,
                                                  const TokenizerFiles& files,
                                                  const std::string& tokenizer) {
    return std::make_shared<JinjaChat>(source, where, special_tokens_of(files, tokenizer));
}

bool JinjaChat::places_images() const {
    return image_marker_.find(image_token_) != std::string::npos;
}

std::string JinjaChat::rendered(const Json& messages, bool generation_prompt) const {
    Json variables = special_tokens_;
    variables["messages"] = messages;
    variables["add_generation_prompt"] = generation_prompt;
    variables["tools"] = nullptr;
    variables["documents"] = nullptr;
    return template_.render(variables);
}

std::string JinjaChat::text_of(std::span<const Message> messages, bool generation_prompt) const {
    Json list = Json::array();
    for (const Message& message : messages) {
        const bool as_parts = content_ == Content::Parts || (content_ == Content::PartsWithImages &&
                                                             count_placeholders(message.text) > 0);
        list.push_back(json_message(message.role,
                                    as_parts ? parts_of_text(message.text) : Json(message.text)));
    }
    return rendered(list, generation_prompt);
}

std::vector<Segment> JinjaChat::render(std::span<const Message> messages,
                                       bool generation_prompt) const {
    std::vector<Segment> segments;
    const std::string whole = text_of(messages, generation_prompt);
    int64_t images = 0;
    for (const Message& message : messages) images += count_placeholders(message.text);
    VILA_CHECK(images == 0 || image_marker_.empty() || places_images(), where_,
               ": the chat template writes \"", image_marker_,
               "\" for an image, and the model's config.json names no token of it as that of an "
               "image: set image_token_index there, or use another template with --template");
    // A marker without a place for the image is plain text to this model.
    const std::string_view token = image_marker_.empty() || !places_images()
                                       ? kImagePlaceholder
                                       : std::string_view(image_token_);
    VILA_CHECK_EQ(count_text(whole, token), images, where_, ": ", token,
                  " in the text of the chat template");
    size_t done = 0;  // bytes of `whole` in `segments`
    for (size_t i = 0; i < messages.size() && !generation_prompt; ++i) {
        if (messages[i].role != Role::Assistant) continue;
        // The answer is what follows the prompt that asks for it.
        const std::string asked = text_of(messages.first(i), true);
        const std::string answered = text_of(messages.first(i + 1), false);
        VILA_CHECK(
            asked.size() >= done && answered.starts_with(asked) && whole.starts_with(answered),
            where_,
            ": the chat template changes earlier turns when an answer follows, so it cannot "
            "be trained on: use another with data.template");
        append_markup(std::string_view(whole).substr(done, asked.size() - done), token, false,
                      segments);
        append_markup(std::string_view(whole).substr(asked.size(), answered.size() - asked.size()),
                      token, true, segments);
        done = answered.size();
    }
    append_markup(std::string_view(whole).substr(done), token, false, segments);
    return segments;
}

std::string JinjaChat::end_of_answer() const {
    const Message talk[] = {{Role::User, "a"}, {Role::Assistant, std::string(kProbe)}};
    std::string refusal;
    const std::string text = text_or_refusal([&] { return text_of(talk, false); }, refusal);
    const size_t at = text.rfind(kProbe);
    return at == std::string::npos ? "" : text.substr(at + kProbe.size());
}

std::string JinjaChat::between_turns() const {
    const Message talk[] = {{Role::User, "a"},
                            {Role::Assistant, std::string(kProbe)},
                            {Role::User, std::string(kNextProbe)}};
    std::string refusal;
    const std::string text = text_or_refusal([&] { return text_of(talk, true); }, refusal);
    const size_t at = text.rfind(kProbe), next = text.rfind(kNextProbe);
    if (at == std::string::npos || next == std::string::npos || next < at) return "";
    return text.substr(at + kProbe.size(), next - at - kProbe.size());
}

}  // namespace vila::data
