#include "data/text/jinja_chat.h"

#include "data/text/tokenizer_json.h"
#include "tensor/check.h"

namespace vila::data {

namespace {

constexpr std::string_view kProbe = "probe of the template";

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

// Appends text that a template printed; each placeholder becomes an image.
void append_markup(std::string_view text, bool is_target, std::vector<Segment>& segments) {
    while (true) {
        const size_t at = text.find(kImagePlaceholder);
        if (at != 0 && !text.empty())
            segments.push_back({Segment::Kind::Markup, std::string(text.substr(0, at)), is_target});
        if (at == std::string_view::npos) return;
        segments.push_back({Segment::Kind::Image, "", false});
        text.remove_prefix(at + kImagePlaceholder.size());
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
        if (const std::string token = token_named(config, key); !token.empty()) tokens[key] = token;
    return tokens;
}

}  // namespace

JinjaChat::JinjaChat(std::string_view source, const std::string& where, Json special_tokens)
    : where_(where), template_(source, where), special_tokens_(std::move(special_tokens)) {
    const Message probe{Role::User, std::string(kProbe)};
    const auto prints_probe = [&] {
        return text_of({&probe, 1}, true).find(kProbe) != std::string::npos;
    };
    try {
        if (prints_probe()) return;
    } catch (const Error&) {
        // The template may read parts only.
    }
    takes_parts_ = true;
    VILA_CHECK(
        prints_probe(), where,
        ": the chat template does not print what the user says; use another with --template");
}

std::shared_ptr<const JinjaChat> JinjaChat::from_files(const TokenizerFiles& files,
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

std::shared_ptr<const JinjaChat> JinjaChat::from_source(std::string_view source,
                                                        const std::string& where,
                                                        const TokenizerFiles& files,
                                                        const std::string& tokenizer) {
    return std::make_shared<const JinjaChat>(source, where, special_tokens_of(files, tokenizer));
}

std::string JinjaChat::text_of(std::span<const Message> messages, bool generation_prompt) const {
    Json list = Json::array();
    for (const Message& message : messages) {
        const Json content = takes_parts_ ? parts_of_text(message.text) : Json(message.text);
        list.push_back({{"role", role_name(message.role)}, {"content", content}});
    }
    Json variables = special_tokens_;
    variables["messages"] = std::move(list);
    variables["add_generation_prompt"] = generation_prompt;
    variables["tools"] = nullptr;
    variables["documents"] = nullptr;
    return template_.render(variables);
}

std::vector<Segment> JinjaChat::render(std::span<const Message> messages,
                                       bool generation_prompt) const {
    std::vector<Segment> segments;
    const std::string whole = text_of(messages, generation_prompt);
    int64_t images = 0;
    for (const Message& message : messages) images += count_placeholders(message.text);
    VILA_CHECK_EQ(count_placeholders(whole), images, where_, ": ", kImagePlaceholder,
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
        append_markup(std::string_view(whole).substr(done, asked.size() - done), false, segments);
        append_markup(std::string_view(whole).substr(asked.size(), answered.size() - asked.size()),
                      true, segments);
        done = answered.size();
    }
    append_markup(std::string_view(whole).substr(done), false, segments);
    return segments;
}

std::string JinjaChat::end_of_answer() const {
    const Message conversation[] = {{Role::User, "a"}, {Role::Assistant, std::string(kProbe)}};
    const std::string text = text_of(conversation, false);
    const size_t at = text.rfind(kProbe);
    return at == std::string::npos ? "" : text.substr(at + kProbe.size());
}

}  // namespace vila::data
