// Reads tokenizer.json of a vocabulary of pieces. There are two generations: the older normalizes
// text (Prepend, Replace), the newer splits it (Metaspace); transformers 5 also writes both at
// once.

#include <algorithm>
#include <charconv>
#include <unordered_map>
#include <unordered_set>

#include "data/text/piece_format.h"
#include "data/text/tokenizer_json.h"
#include "data/text/unicode.h"
#include "tensor/check.h"

namespace vila::data {

namespace {

using Kind = PieceDefinition::Kind;

constexpr const char* kSpaceMark = "\u2581";

// Returns whether the part replaces the literal `pattern` by `content`.
bool is_replace(const Json& part, const char* pattern, const char* content) {
    if (type_of(part) != "Replace") return false;
    const Json literal = {{"String", pattern}};
    return part.value("pattern", Json()) == literal && part.value("content", Json()) == content;
}

struct SpaceRule {
    bool replaces = false;  // ' ' becomes U+2581
    bool prepends = false;
};

SpaceRule read_normalizer(const Json& normalizer, const std::string& where, TextRules& rules) {
    SpaceRule spaces;
    for (const Json& part : parts_of(normalizer, "normalizers")) {
        const std::string type = type_of(part);
        if (type == "NFC")
            rules.composes = true;
        else if (type == "Prepend" && part.value("prepend", Json()) == kSpaceMark)
            spaces.prepends = true;
        else if (is_replace(part, " ", kSpaceMark))
            spaces.replaces = true;
        else
            throw Error(str(where, ": tokenizer.json has normalizer ", shown(part),
                            ": expected NFC, Prepend of U+2581 or Replace of a space by U+2581"));
    }
    return spaces;
}

TextRules::Prefix prefix_of(const Json& metaspace, const std::string& where) {
    const JsonFields fields = tokenizer_fields(metaspace, where);
    if (!fields.has("prepend_scheme"))  // files written before 2024
        return fields.boolean("add_prefix_space", true) ? TextRules::Prefix::Always
                                                        : TextRules::Prefix::Never;
    const std::string scheme = fields.text("prepend_scheme");
    if (scheme == "first") return TextRules::Prefix::First;
    if (scheme == "always") return TextRules::Prefix::Always;
    VILA_CHECK(scheme == "never", where, ": tokenizer.json has prepend_scheme \"", scheme,
               "\": expected first, always or never");
    return TextRules::Prefix::Never;
}

void read_text_rules(const Json& tokenizer, const std::string& where, PieceDefinition& definition) {
    TextRules& rules = definition.rules;
    const SpaceRule spaces = read_normalizer(tokenizer.value("normalizer", Json()), where, rules);
    const Json pre_tokenizer = tokenizer.value("pre_tokenizer", Json());
    const std::vector<Json> parts = parts_of(pre_tokenizer, "pretokenizers");
    if (parts.empty()) {
        VILA_CHECK(spaces.replaces, where,
                   ": tokenizer.json neither normalizes spaces to U+2581 nor has a Metaspace "
                   "pre_tokenizer: not supported");
        rules.prefix = spaces.prepends ? TextRules::Prefix::Always : TextRules::Prefix::Never;
        return;
    }
    VILA_CHECK(parts.size() == 1 && type_of(parts[0]) == "Metaspace" &&
                   parts[0].value("replacement", Json(kSpaceMark)) == kSpaceMark,
               where, ": tokenizer.json has pre_tokenizer ", shown(pre_tokenizer),
               ": expected Metaspace with U+2581, or none");
    VILA_CHECK(spaces.replaces || !spaces.prepends, where,
               ": tokenizer.json prepends U+2581 without replacing spaces by it: not supported");
    // Metaspace adds no prefix to text that begins with one.
    rules.prefix = spaces.prepends ? TextRules::Prefix::Always : prefix_of(parts[0], where);
    rules.prefix_unless_space = !spaces.prepends;
    rules.after_added_tokens = !spaces.prepends;
    rules.plain_added_tokens = spaces.replaces;
    definition.splits_at_spaces = tokenizer_fields(parts[0], where).boolean("split", true);
}

struct DecoderRule {
    bool bytes = false;        // <0x41> becomes the byte
    bool sheds_space = false;  // one space at the beginning is dropped
};

DecoderRule read_decoder(const Json& decoder, bool byte_fallback, const std::string& where) {
    DecoderRule rule;
    const auto refuse = [&] {
        throw Error(str(where, ": tokenizer.json has decoder ", shown(decoder),
                        ": expected Replace of U+2581 by a space, ByteFallback, Fuse and Strip of "
                        "one space, in that order"));
    };
    const std::vector<Json> parts = parts_of(decoder, "decoders");
    size_t at = 0;
    if (at >= parts.size() || !is_replace(parts[at], kSpaceMark, " ")) refuse();
    ++at;
    rule.bytes = at < parts.size() && type_of(parts[at]) == "ByteFallback";
    if (byte_fallback && !rule.bytes) refuse();
    at += rule.bytes;
    if (at >= parts.size() || type_of(parts[at]) != "Fuse") refuse();
    ++at;
    if (at == parts.size()) return rule;
    const Json& strip = parts[at];
    if (at + 1 != parts.size() || type_of(strip) != "Strip" ||
        strip.value("content", Json()) != " " || strip.value("start", Json(0)) != 1 ||
        strip.value("stop", Json(0)) != 0)
        refuse();
    rule.sheds_space = true;
    return rule;
}

// Returns the byte of a spelling such as <0x0A>, or -1.
int32_t byte_of(const std::string& spelling) {
    if (spelling.size() != 6 || !spelling.starts_with("<0x") || spelling[5] != '>') return -1;
    int32_t byte = -1;
    const char* digits = spelling.data() + 3;
    const auto parsed = std::from_chars(digits, digits + 2, byte, 16);
    return parsed.ec == std::errc() && parsed.ptr == digits + 2 ? byte : -1;
}

void read_settings(const Json& model, const std::string& where, PieceDefinition& definition) {
    check_bpe_settings(model, where);
    const JsonFields fields = tokenizer_fields(model, where);
    definition.byte_fallback = fields.boolean("byte_fallback", false);
    definition.fuses_unknown = fields.boolean("fuse_unk", false);
    definition.ignore_merges = fields.boolean("ignore_merges", false);
}

void read_pieces(const Json& model, bool decodes_bytes, const std::string& where,
                 PieceDefinition& definition) {
    const std::vector<std::string> vocabulary = read_vocabulary(model, where);
    const std::string unknown = tokenizer_fields(model, where).text("unk_token", "");
    std::unordered_set<int32_t> special;
    for (const AddedToken& token : definition.added)
        if (token.special) special.insert(token.id);
    int64_t bytes = 0;
    for (const std::string& spelling : vocabulary) {
        PieceDefinition::Piece piece;
        piece.spelling = spelling;
        const auto id = static_cast<int32_t>(definition.pieces.size());
        const int32_t byte = byte_of(spelling);
        piece.decoded = plain_text(spelling);
        if (byte >= 0 && decodes_bytes) piece.decoded = std::string(1, static_cast<char>(byte));
        if (!spelling.empty()) piece.kind = Kind::Normal;
        if (!unknown.empty() && spelling == unknown) {
            definition.unknown_id = id;
            piece.kind = Kind::Hidden;
        }
        if (special.contains(id)) piece.kind = Kind::Hidden;
        // Text that reads like a special token is not that token.
        if (piece.kind == Kind::Normal && spelling.find(' ') == std::string::npos)
            piece.plain = plain_text(spelling);
        if (byte >= 0 && definition.byte_fallback) {
            piece.kind = Kind::Byte;
            ++bytes;
        }
        piece.sheds_space = definition.sheds_space && piece.decoded.starts_with(' ');
        definition.pieces.push_back(std::move(piece));
    }
    // With byte_fallback, a character of a byte that has no token is dropped, as in tokenizers.
    VILA_CHECK(
        bytes > 0 || definition.unknown_id >= 0, where,
        ": tokenizer.json has neither byte_fallback nor an unk_token in its vocabulary: text "
        "would be lost");
}

void read_merge_list(const Json& model, const std::string& where, PieceDefinition& definition) {
    std::unordered_map<std::string, int32_t> ids;
    for (size_t id = 0; id < definition.pieces.size(); ++id)
        if (definition.pieces[id].kind != Kind::None)
            ids.emplace(definition.pieces[id].spelling, static_cast<int32_t>(id));
    int32_t rank = 0;
    for (const auto& [left, right] : read_merges(model, where)) {
        const auto l = ids.find(left), r = ids.find(right), sum = ids.find(left + right);
        VILA_CHECK(l != ids.end() && r != ids.end() && sum != ids.end(), where,
                   "/tokenizer.json merges \"", left, "\" and \"", right,
                   "\", which with their sum are not all in the vocabulary");
        for (const int32_t part : {l->second, r->second})
            VILA_CHECK(definition.pieces[part].kind != Kind::Byte && part != definition.unknown_id,
                       where, "/tokenizer.json merges \"", definition.pieces[part].spelling,
                       "\", which stands for characters without a token: not supported");
        const bool hidden = definition.pieces[sum->second].kind == Kind::Hidden;
        if (!hidden) definition.merges.push_back({l->second, r->second, {rank, sum->second}});
        ++rank;
    }
}

PieceDefinition read_definition(const Json& tokenizer, const Json& config,
                                const std::string& where) {
    PieceDefinition definition;
    const Json& model = tokenizer_fields(tokenizer, where).raw("model");
    read_text_rules(tokenizer, where, definition);
    read_settings(model, where, definition);
    definition.added = read_added_tokens(tokenizer, config, where);
    const DecoderRule decoder =
        read_decoder(tokenizer.value("decoder", Json()), definition.byte_fallback, where);
    definition.sheds_space = decoder.sheds_space;
    if (decoder.bytes) definition.broken = Tokenizer::Broken::Byte;
    read_pieces(model, decoder.bytes, where, definition);
    read_merge_list(model, where, definition);
    const SequenceTokens tokens = read_sequence_tokens(tokenizer, config, where);
    definition.bos = tokens.bos;
    definition.eos = tokens.eos;
    definition.pad = tokens.pad;
    definition.adds_bos = tokens.adds_bos;
    return definition;
}

}  // namespace

bool is_piece_json(const TokenizerFiles& files, const std::string& where) {
    const Json tokenizer = parse_json_file(files, "tokenizer.json", where);
    try {
        for (const Json& part :
             parts_of(tokenizer.value("pre_tokenizer", Json()), "pretokenizers")) {
            if (type_of(part) == "Metaspace") return true;
            if (type_of(part) == "ByteLevel") return false;
        }
        const auto normalizers = parts_of(tokenizer.value("normalizer", Json()), "normalizers");
        return tokenizer_fields(tokenizer, where).object("model").boolean("byte_fallback", false) ||
               std::any_of(normalizers.begin(), normalizers.end(),
                           [](const Json& part) { return type_of(part) == "Replace"; });
    } catch (const Json::exception& error) {
        throw Error(str(where, "/tokenizer.json: ", json_error_text(error)));
    }
}

PieceDefinition read_piece_json(const TokenizerFiles& files, const std::string& where) {
    const Json tokenizer = parse_json_file(files, "tokenizer.json", where);
    const Json config = read_tokenizer_config(files, where);
    try {
        return read_definition(tokenizer, config, where);
    } catch (const Json::exception& error) {
        throw Error(str(where, "/tokenizer.json: ", json_error_text(error)));
    }
}

}  // namespace vila::data
