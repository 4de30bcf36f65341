#include "data/text/bpe_format.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "data/text/tokenizer_json.h"
#include "data/text/unicode.h"
#include "tensor/check.h"
#include "tensor/json.h"

namespace vila::data {

namespace {

constexpr bool is_printable(uint32_t byte) {
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) ||
           (byte >= 0xAE && byte <= 0xFF);
}

// Maps each byte to the code of its symbol, and back; -1 where a code stands for no byte.
struct SymbolTable {
    std::array<uint32_t, 256> code{};
    std::array<int32_t, 256 + 68> byte{};
};

constexpr SymbolTable make_symbol_table() {
    SymbolTable table;
    table.byte.fill(-1);
    uint32_t next = 0x100;
    for (uint32_t byte = 0; byte < 256; ++byte) {
        table.code[byte] = is_printable(byte) ? byte : next++;
        table.byte[table.code[byte]] = static_cast<int32_t>(byte);
    }
    return table;
}

constexpr SymbolTable kSymbols = make_symbol_table();

bool reads_nfc(const Json& normalizer, const std::string& where) {
    bool composes = false;
    for (const Json& part : parts_of(normalizer, "normalizers")) {
        VILA_CHECK(type_of(part) == "NFC", where, ": tokenizer.json has normalizer ", type_of(part),
                   ": expected NFC or none");
        composes = true;
    }
    return composes;
}

SplitStep step_of_pattern(const Json& split, const std::string& where) {
    const JsonFields fields = tokenizer_fields(split, where);
    const std::string regex = fields.object("pattern").text("Regex", "");
    const bool isolates =
        fields.text("behavior", "") == "Isolated" && !fields.boolean("invert", false);
    for (const SplitRule rule : {SplitRule::Llama3, SplitRule::Qwen2, SplitRule::Gpt2})
        if (isolates && regex == split_pattern(rule)) return {rule, std::nullopt};
    if (auto pattern = SplitPattern::parse(regex); isolates && pattern)
        return {SplitRule::Gpt2, std::move(pattern)};
    throw Error(str(where, ": tokenizer.json splits words with ", shown(split),
                    ": expected the pattern of Llama 3, Qwen2 or GPT-2, or a few classes of "
                    "characters"));
}

std::vector<SplitStep> read_splits(const Json& pre_tokenizer, const std::string& where) {
    const std::vector<Json> parts = parts_of(pre_tokenizer, "pretokenizers");
    const auto refuse = [&] {
        throw Error(str(where, ": tokenizer.json has pre_tokenizer ", shown(pre_tokenizer),
                        ": expected any of Digits and Split, then ByteLevel"));
    };
    if (parts.empty() || type_of(parts.back()) != "ByteLevel") refuse();
    std::vector<SplitStep> splits;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
        if (type_of(parts[i]) == "Digits")
            splits.push_back({tokenizer_fields(parts[i], where).boolean("individual_digits", false)
                                  ? SplitRule::EachDigit
                                  : SplitRule::Digits,
                              std::nullopt});
        else if (type_of(parts[i]) == "Split")
            splits.push_back(step_of_pattern(parts[i], where));
        else
            refuse();
    }
    const JsonFields byte_level = tokenizer_fields(parts.back(), where);
    VILA_CHECK(!byte_level.boolean("add_prefix_space", true), where,
               ": tokenizer.json puts a space before each text (add_prefix_space): not supported");
    if (byte_level.boolean("use_regex", true)) splits.push_back({SplitRule::Gpt2, std::nullopt});
    VILA_CHECK(!splits.empty(), where,
               ": tokenizer.json does not split words: expected a Split, or use_regex");
    return splits;
}

void read_model(const Json& model, const std::string& where, BpeDefinition& definition) {
    check_bpe_settings(model, where);
    const JsonFields fields = tokenizer_fields(model, where);
    VILA_CHECK(!fields.boolean("byte_fallback", false), where,
               ": tokenizer.json holds a SentencePiece vocabulary (byte_fallback): expected "
               "byte-level BPE");
    definition.ignore_merges = fields.boolean("ignore_merges", false);
    definition.unknown = fields.text("unk_token", "");
    definition.fuses_unknown = fields.boolean("fuse_unk", false);
    definition.vocabulary = read_vocabulary(model, where);
    definition.merges = read_merges(model, where);
}

// Bytes are the only decoding; a file that names none means it too.
void check_decoder(const Json& decoder, const std::string& where) {
    for (const Json& part : parts_of(decoder, "decoders"))
        VILA_CHECK(type_of(part) == "ByteLevel", where, ": tokenizer.json has decoder ",
                   shown(decoder), ": expected ByteLevel");
}

BpeDefinition read_definition(const Json& tokenizer, const Json& config, const std::string& where) {
    BpeDefinition definition;
    definition.composes = reads_nfc(tokenizer.value("normalizer", Json()), where);
    definition.splits = read_splits(tokenizer.value("pre_tokenizer", Json()), where);
    check_decoder(tokenizer.value("decoder", Json()), where);
    read_model(tokenizer_fields(tokenizer, where).raw("model"), where, definition);
    definition.added = read_added_tokens(tokenizer, config, where);
    const SequenceTokens tokens = read_sequence_tokens(tokenizer, config, where);
    definition.bos = tokens.bos;
    definition.eos = tokens.eos;
    definition.pad = tokens.pad;
    definition.adds_bos = tokens.adds_bos;
    return definition;
}

Json post_processor_for(const std::string& bos, int32_t id) {
    const auto special = [&](int type) {
        return Json{{"SpecialToken", {{"id", bos}, {"type_id", type}}}};
    };
    const auto sequence = [](const char* name, int type) {
        return Json{{"Sequence", {{"id", name}, {"type_id", type}}}};
    };
    return {{"type", "TemplateProcessing"},
            {"single", Json::array({special(0), sequence("A", 0)})},
            {"pair", Json::array({special(0), sequence("A", 0), special(1), sequence("B", 1)})},
            {"special_tokens",
             {{bos, {{"id", bos}, {"ids", Json::array({id})}, {"tokens", Json::array({bos})}}}}}};
}

Json byte_level(bool use_regex) {
    return {{"type", "ByteLevel"},
            {"add_prefix_space", false},
            {"trim_offsets", true},
            {"use_regex", use_regex}};
}

Json split_for(const SplitStep& step) {
    const SplitRule rule = step.rule;
    if (rule == SplitRule::Digits || rule == SplitRule::EachDigit)
        return {{"type", "Digits"}, {"individual_digits", rule == SplitRule::EachDigit}};
    return {{"type", "Split"},
            {"pattern",
             {{"Regex", step.pattern ? step.pattern->regex() : std::string(split_pattern(rule))}}},
            {"behavior", "Isolated"},
            {"invert", false}};
}

Json pre_tokenizer_for(const std::vector<SplitStep>& splits) {
    const bool ends_in_gpt2 = splits.back().rule == SplitRule::Gpt2 && !splits.back().pattern;
    Json parts = Json::array();
    for (size_t i = 0; i + ends_in_gpt2 < splits.size(); ++i) parts.push_back(split_for(splits[i]));
    if (parts.empty()) return byte_level(true);
    parts.push_back(byte_level(ends_in_gpt2));
    return {{"type", "Sequence"}, {"pretokenizers", std::move(parts)}};
}

Json model_for(const BpeDefinition& definition) {
    // Appends without searching for an equal key, which would take quadratic time.
    Json::object_t vocabulary;
    for (size_t id = 0; id < definition.vocabulary.size(); ++id)
        if (!definition.vocabulary[id].empty())
            vocabulary.emplace_back(definition.vocabulary[id], id);
    Json merges = Json::array();
    for (const auto& [left, right] : definition.merges) merges.push_back(left + " " + right);
    return {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", definition.unknown.empty() ? Json() : Json(definition.unknown)},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", definition.fuses_unknown},
            {"byte_fallback", false},
            {"ignore_merges", definition.ignore_merges},
            {"vocab", std::move(vocabulary)},
            {"merges", std::move(merges)}};
}

Json added_for(const AddedToken& token) {
    return {
        {"id", token.id},          {"content", token.content}, {"single_word", token.single_word},
        {"lstrip", token.lstrip},  {"rstrip", token.rstrip},   {"normalized", token.normalized},
        {"special", token.special}};
}

}  // namespace

std::string byte_symbol(uint8_t byte) {
    std::string symbol;
    append_char(symbol, kSymbols.code[byte]);
    return symbol;
}

bool bytes_of_spelling(std::string_view spelling, std::string& bytes) {
    bytes.clear();
    while (!spelling.empty()) {
        const Utf8Char next = first_char(spelling);
        if (next.code >= kSymbols.byte.size() || kSymbols.byte[next.code] < 0) return false;
        bytes.push_back(static_cast<char>(kSymbols.byte[next.code]));
        spelling.remove_prefix(next.bytes);
    }
    return true;
}

BpeDefinition read_bpe(const TokenizerFiles& files, const std::string& where) {
    VILA_CHECK(files.contains("tokenizer.json"), where, " has no tokenizer.json");
    const Json tokenizer = parse_json_file(files, "tokenizer.json", where);
    const Json config = read_tokenizer_config(files, where);
    try {
        return read_definition(tokenizer, config, where);
    } catch (const Json::exception& error) {
        throw Error(str(where, "/tokenizer.json: ", json_error_text(error)));
    }
}

TokenizerFiles write_bpe(const BpeDefinition& definition) {
    Json added = Json::array();
    Json decoder = Json::object();
    int32_t bos_id = 0;
    for (const AddedToken& token : definition.added) {
        added.push_back(added_for(token));
        Json entry = added_for(token);
        entry.erase("id");
        decoder[std::to_string(token.id)] = std::move(entry);
        if (token.content == definition.bos) bos_id = token.id;
    }
    const Json tokenizer = {
        {"version", "1.0"},
        {"truncation", nullptr},
        {"padding", nullptr},
        {"added_tokens", std::move(added)},
        {"normalizer", definition.composes ? Json{{"type", "NFC"}} : Json()},
        {"pre_tokenizer", pre_tokenizer_for(definition.splits)},
        {"post_processor",
         definition.adds_bos ? post_processor_for(definition.bos, bos_id) : byte_level(true)},
        {"decoder", byte_level(true)},
        {"model", model_for(definition)}};
    const auto name_or_null = [](const std::string& name) {
        return name.empty() ? Json() : Json(name);
    };
    const Json config = {{"added_tokens_decoder", std::move(decoder)},
                         {"bos_token", name_or_null(definition.bos)},
                         {"eos_token", name_or_null(definition.eos)},
                         {"pad_token", name_or_null(definition.pad)},
                         {"clean_up_tokenization_spaces", false},
                         {"tokenizer_class", "PreTrainedTokenizerFast"}};
    return {{"tokenizer.json", tokenizer.dump() + "\n"},
            {"tokenizer_config.json", config.dump(2) + "\n"}};
}

}  // namespace vila::data
