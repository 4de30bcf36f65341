#include "data/text/tokenizer_json.h"

#include <charconv>
#include <limits>
#include <unordered_map>
#include <unordered_set>

#include "tensor/check.h"

namespace vila::data {

namespace {

// Returns the token that the post-processor puts in front of a sequence; empty if none.
std::string token_in_front(const Json& post_processor, const std::string& where) {
    std::string front;
    for (const Json& part : parts_of(post_processor, "processors")) {
        const std::string type = type_of(part);
        if (type == "ByteLevel") continue;  // changes offsets, not ids
        VILA_CHECK(type == "TemplateProcessing", where, ": tokenizer.json has post_processor ",
                   type, ": expected TemplateProcessing, ByteLevel or none");
        bool is_after_text = false;
        VILA_CHECK(part.at("single").is_array(), where,
                   ": tokenizer.json: post_processor: field single: expected a list, got ",
                   shown(part["single"]));
        for (const Json& item : part["single"]) {
            VILA_CHECK(item.contains("Sequence") || item.contains("SpecialToken"), where,
                       ": tokenizer.json: post_processor: field single: expected Sequence or "
                       "SpecialToken, got ",
                       shown(item));
            is_after_text = is_after_text || item.contains("Sequence");
            if (!item.contains("SpecialToken")) continue;
            const std::string token = item["SpecialToken"].at("id");
            VILA_CHECK(front.empty() && !is_after_text, where, ": tokenizer.json puts ", token,
                       is_after_text ? " after each text" : " in front of each text too",
                       " (post_processor, single): expected at most one token, in front");
            front = token;
        }
    }
    return front;
}

std::pair<std::string, std::string> read_merge(const Json& merge, const std::string& where) {
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string())
        return {merge[0], merge[1]};
    const std::string text = merge.is_string() ? merge.get<std::string>() : "";
    const size_t space = text.find(' ');
    VILA_CHECK(space != std::string::npos && text.find(' ', space + 1) == std::string::npos, where,
               ": tokenizer.json: field merges: expected two tokens, got ", shown(merge));
    return {text.substr(0, space), text.substr(space + 1)};
}

}  // namespace

Json parse_json_file(const TokenizerFiles& files, const char* name, const std::string& where) {
    const auto file = files.find(name);
    if (file == files.end()) return Json::object();
    Json json = parse_json(file->second, str(where, "/", name));
    VILA_CHECK(json.is_object(), where, "/", name, ": expected a JSON object");
    return json;
}

Json read_tokenizer_config(const TokenizerFiles& files, const std::string& where) {
    Json config = parse_json_file(files, "tokenizer_config.json", where);
    // Older directories name the special tokens in a file of their own.
    const Json map = parse_json_file(files, "special_tokens_map.json", where);
    for (const char* key :
         {"bos_token", "eos_token", "pad_token", "unk_token", "additional_special_tokens"})
        if (!config.contains(key) && map.contains(key)) config[key] = map[key];
    // Beside tokenizer.json, transformers ignores add_bos_token and add_eos_token.
    VILA_CHECK(files.contains("tokenizer.json") || !config.contains("add_eos_token") ||
                   config["add_eos_token"] != true,
               where,
               "/tokenizer_config.json: field add_eos_token: an end token after each text is not "
               "supported; set it to false");
    return config;
}

JsonFields tokenizer_fields(const Json& part, const std::string& where) {
    return {part, where + "/tokenizer.json"};
}

std::string type_of(const Json& part) {
    const bool has_type = part.is_object() && part.contains("type") && part["type"].is_string();
    return has_type ? part["type"].get<std::string>() : "?";
}

std::vector<Json> parts_of(const Json& part, const char* list) {
    if (part.is_null()) return {};
    if (type_of(part) == "Sequence") return part.at(list).get<std::vector<Json>>();
    return {part};
}

void check_bpe_settings(const Json& model, const std::string& where) {
    VILA_CHECK(tokenizer_fields(model, where).text("type", "BPE") == "BPE", where,
               ": tokenizer.json has a ", type_of(model), " model: expected BPE");
    for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"})
        VILA_CHECK(!model.contains(affix) || model[affix].is_null() || model[affix] == "", where,
                   ": tokenizer.json sets ", affix, ": not supported");
    VILA_CHECK(!model.contains("dropout") || model["dropout"].is_null() || model["dropout"] == 0.0,
               where, ": tokenizer.json sets dropout: ids would be random");
}

int32_t read_id(const Json& value, const std::string& where) {
    constexpr auto kMost = std::numeric_limits<int32_t>::max();
    const bool is_id = value.is_number_integer() && value >= 0 && value <= kMost;
    VILA_CHECK(is_id, where, ": a token has the id ", value.dump(),
               ": expected a whole number from 0 to ", kMost);
    return value.get<int32_t>();
}

std::vector<std::string> read_vocabulary(const Json& model, const std::string& where) {
    std::vector<std::string> tokens;
    const Json& vocabulary = tokenizer_fields(model, where).raw("vocab");
    VILA_CHECK(vocabulary.is_object(), where, ": tokenizer.json has a vocab that is no object");
    for (const auto& [spelling, id] : vocabulary.items()) {
        const int64_t index = read_id(id, where + ": tokenizer.json");
        // A sparse vocabulary is legal, but a huge id would allocate without bound.
        VILA_CHECK(index < 16 * static_cast<int64_t>(vocabulary.size()) + 65536, where,
                   ": tokenizer.json gives \"", spelling, "\" the id ", index);
        if (index >= static_cast<int64_t>(tokens.size())) tokens.resize(index + 1);
        VILA_CHECK(tokens[index].empty(), where, ": tokenizer.json gives \"", tokens[index],
                   "\" and \"", spelling, "\" the same id ", index);
        tokens[index] = spelling;
    }
    return tokens;
}

std::vector<std::pair<std::string, std::string>> read_merges(const Json& model,
                                                             const std::string& where) {
    std::vector<std::pair<std::string, std::string>> merges;
    static const Json absent;
    const auto found = model.find("merges");
    const Json& list = found == model.end() ? absent : *found;
    VILA_CHECK(list.is_array(), where, ": tokenizer.json: field merges: expected a list, got ",
               shown(list));
    merges.reserve(list.size());
    for (const Json& merge : list) merges.push_back(read_merge(merge, where));
    return merges;
}

AddedToken read_added_token(const JsonFields& entry, int32_t id) {
    AddedToken token;
    token.id = id;
    token.content = entry.text("content");
    token.single_word = entry.boolean("single_word", false);
    token.lstrip = entry.boolean("lstrip", false);
    token.rstrip = entry.boolean("rstrip", false);
    token.special = entry.boolean("special", false);
    token.normalized = entry.boolean("normalized", !token.special);
    return token;
}

std::vector<AddedToken> read_added_tokens_decoder(const Json& config, const std::string& where) {
    std::vector<AddedToken> tokens;
    const Json listed = config.value("added_tokens_decoder", Json());
    VILA_CHECK(listed.is_null() || listed.is_object(), where,
               "/tokenizer_config.json: field added_tokens_decoder: expected an object, got ",
               shown(listed));
    for (const auto& [key, entry] : listed.items()) {
        int32_t id = -1;
        const auto parsed = std::from_chars(key.data(), key.data() + key.size(), id);
        VILA_CHECK(parsed.ec == std::errc() && parsed.ptr == key.data() + key.size(), where,
                   "/tokenizer_config.json: added_tokens_decoder has the key \"", key,
                   "\": expected an id");
        const std::string here =
            str(where, "/tokenizer_config.json: field added_tokens_decoder, token ", id);
        tokens.push_back(read_added_token(JsonFields(entry, here), id));
    }
    return tokens;
}

std::vector<AddedToken> read_added_tokens(const Json& tokenizer, const Json& config,
                                          const std::string& where) {
    std::vector<AddedToken> tokens;
    std::unordered_set<std::string> known;
    for (const Json& entry : tokenizer_fields(tokenizer, where).list("added_tokens")) {
        const JsonFields fields(entry, where + "/tokenizer.json: field added_tokens");
        tokens.push_back(
            read_added_token(fields, read_id(fields.raw("id"), where + ": tokenizer.json")));
        known.insert(tokens.back().content);
    }
    for (const AddedToken& token : read_added_tokens_decoder(config, where))
        if (known.insert(token.content).second) tokens.push_back(token);
    std::unordered_map<int32_t, std::string> contents;
    for (const AddedToken& token : tokens) {
        const auto [other, is_new] = contents.emplace(token.id, token.content);
        VILA_CHECK(is_new || other->second == token.content, where,
                   "/tokenizer.json: added_tokens ", shown(Json(other->second)), " and ",
                   shown(Json(token.content)), " have the same id ", token.id);
    }
    return tokens;
}

void check_added_token(const AddedToken& token, int64_t vocabulary, const std::string& where) {
    // A huge id would allocate without bound.
    VILA_CHECK(token.id >= 0 && token.id < 16 * vocabulary + 65536, where,
               " gives the added token ", shown(Json(token.content)), " the id ", token.id);
    // A long one would make the search in a text slow.
    constexpr size_t kMaxAddedBytes = 1024;
    VILA_CHECK(token.content.size() <= kMaxAddedBytes, where, " has an added token of ",
               token.content.size(), " bytes, ", shown(Json(token.content)), ": at most ",
               kMaxAddedBytes, " are supported");
}

std::string token_named(const Json& config, const char* key, const std::string& where) {
    if (!config.contains(key) || config[key].is_null()) return "";
    const Json& value = config[key];
    const Json name = value.is_object() ? value.value("content", Json()) : value;
    VILA_CHECK(name.is_string(), where, "/tokenizer_config.json: field ", key,
               ": expected a token, got ", shown(value));
    return name.get<std::string>();
}

SequenceTokens read_sequence_tokens(const Json& tokenizer, const Json& config,
                                    const std::string& where) {
    SequenceTokens tokens{token_named(config, "bos_token", where),
                          token_named(config, "eos_token", where),
                          token_named(config, "pad_token", where), false};
    const std::string front = token_in_front(tokenizer.value("post_processor", Json()), where);
    if (!front.empty()) tokens.bos = front;
    tokens.adds_bos = !front.empty();
    return tokens;
}

}  // namespace vila::data
