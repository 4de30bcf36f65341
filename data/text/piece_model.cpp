// Reads tokenizer.model, and applies the rules of the Llama tokenizer of transformers to it.

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "data/text/piece_format.h"
#include "data/text/sentencepiece_model.h"
#include "data/text/tokenizer_json.h"
#include "data/text/unicode.h"
#include "tensor/check.h"

namespace vila::data {

namespace {

using Kind = PieceDefinition::Kind;
using Type = SentencePieceModel::Type;
using Symbols = std::unordered_map<std::string_view, int32_t>;

// No trainer makes longer pieces; without this limit a small file could take long to load.
constexpr size_t kMaxPieceBytes = 1024;

constexpr const char* kAlgorithms[] = {"?", "unigram", "BPE", "word", "char"};

// Meta distributes the vocabulary of Llama 3 under the same name: each line holds a token in base64
// and its rank.
bool is_tiktoken(std::string_view bytes) {
    const std::string_view line = bytes.substr(0, std::min(bytes.find('\n'), size_t{256}));
    const size_t space = line.find(' ');
    if (space == 0 || space == std::string_view::npos || space + 1 == line.size()) return false;
    const auto is_base64 = [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '+' || c == '/' || c == '=';
    };
    const auto is_digit = [](unsigned char c) { return std::isdigit(c) != 0; };
    return std::ranges::all_of(line.substr(0, space), is_base64) &&
           std::ranges::all_of(line.substr(space + 1), is_digit);
}

void check_supported(const SentencePieceModel& model, const std::string& where) {
    VILA_CHECK(model.algorithm == SentencePieceModel::Algorithm::Bpe, where, ": a ",
               kAlgorithms[static_cast<int>(model.algorithm)], " model: only BPE is supported");
    VILA_CHECK(!model.whitespace_is_suffix, where,
               ": treat_whitespace_as_suffix is set: not supported");
    VILA_CHECK(model.escape_whitespaces, where, ": escape_whitespaces is off: not supported");
    VILA_CHECK(model.denormalizer_charsmap.empty(), where,
               ": a denormalizer with a character map: not supported");
}

// Returns the byte of a spelling such as <0x0A>, or -1. Digits are capitals, as the library writes
// them.
int32_t byte_of(std::string_view text) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return -1;
    const size_t high = kDigits.find(text[3]), low = kDigits.find(text[4]);
    if (high == std::string_view::npos || low == std::string_view::npos) return -1;
    return static_cast<int32_t>(16 * high + low);
}

Kind kind_of(Type type) {
    switch (type) {
        case Type::Normal:
            return Kind::Normal;
        case Type::UserDefined:
            return Kind::UserDefined;
        case Type::Unused:
            return Kind::Unused;
        case Type::Byte:
            return Kind::Byte;
        default:
            return Kind::Hidden;
    }
}

bool is_in_text(Kind kind) {
    return kind == Kind::Normal || kind == Kind::UserDefined || kind == Kind::Unused;
}

std::string decoded_form(const SentencePieceModel& model, const SentencePieceModel::Piece& piece) {
    if (piece.type == Type::Control) return "";
    if (piece.type == Type::Unknown) return model.unknown_surface;
    if (piece.type == Type::Byte) return std::string(1, static_cast<char>(byte_of(piece.text)));
    return plain_text(piece.text);
}

void read_pieces(const SentencePieceModel& model, const std::string& where,
                 PieceDefinition& definition) {
    std::array<bool, 256> bytes{};
    Symbols known;
    definition.sheds_space = model.add_dummy_prefix || model.remove_extra_whitespaces;
    for (const SentencePieceModel::Piece& source : model.pieces) {
        const auto id = static_cast<int32_t>(definition.pieces.size());
        VILA_CHECK(source.text.size() <= kMaxPieceBytes, where, ": piece ", id, " has ",
                   source.text.size(), " bytes: at most ", kMaxPieceBytes, " are supported");
        VILA_CHECK(valid_utf8(source.text) == source.text, where, ": piece ", id,
                   " is not valid UTF-8");
        const auto [other, is_new] = known.emplace(source.text, id);
        VILA_CHECK(is_new, where, ": pieces ", other->second, " and ", id, " are both \"",
                   source.text, "\"");
        PieceDefinition::Piece piece;
        piece.spelling = source.text;
        piece.kind = kind_of(source.type);
        if (source.type == Type::Unknown) {
            VILA_CHECK(definition.unknown_id < 0, where, ": pieces ", definition.unknown_id,
                       " and ", id, " are both the unknown piece");
            definition.unknown_id = id;
        }
        if (source.type == Type::Byte) {
            VILA_CHECK(model.byte_fallback, where, ": piece ", id,
                       " is a byte, but byte_fallback is off");
            VILA_CHECK(byte_of(source.text) >= 0, where, ": piece ", id, " is a byte spelled \"",
                       source.text, "\": expected <0x00> to <0xFF>");
            bytes[byte_of(source.text)] = true;
        }
        piece.decoded = decoded_form(model, source);
        piece.is_special = piece.kind == Kind::Hidden;
        if (is_in_text(piece.kind)) {
            if (source.text.find(' ') == std::string::npos) piece.plain = plain_text(source.text);
            piece.sheds_space = definition.sheds_space && source.text.starts_with("\u2581");
        }
        definition.pieces.push_back(std::move(piece));
    }
    VILA_CHECK(definition.unknown_id >= 0, where, ": no unknown piece");
    const auto missing = std::find(bytes.begin(), bytes.end(), false);
    VILA_CHECK(!model.byte_fallback || missing == bytes.end(), where, ": no piece for the byte ",
               missing - bytes.begin(), ": byte_fallback needs all 256");
}

// Returns the offsets between the characters of `text`, without its ends.
std::vector<size_t> inner_offsets(std::string_view text) {
    std::vector<size_t> offsets;
    size_t at = first_char(text).bytes;
    for (; at < text.size(); at += first_char(text.substr(at)).bytes) offsets.push_back(at);
    return offsets;
}

// Returns the rank of each score: 0 for the highest; equal scores share a rank.
std::unordered_map<float, int32_t> rank_scores(const SentencePieceModel& model) {
    std::vector<float> scores;
    for (const SentencePieceModel::Piece& piece : model.pieces) scores.push_back(piece.score);
    std::sort(scores.begin(), scores.end(), std::greater<float>());
    scores.erase(std::unique(scores.begin(), scores.end()), scores.end());
    std::unordered_map<float, int32_t> ranks;
    for (size_t rank = 0; rank < scores.size(); ++rank)
        ranks.emplace(scores[rank], static_cast<int32_t>(rank));
    return ranks;
}

// The library merges any two adjacent symbols whose concatenation is a piece. This function lists
// those pairs: it cuts each piece wherever both sides are pieces or single characters.
void list_merges(const SentencePieceModel& model, PieceDefinition& definition) {
    Symbols symbols;
    for (size_t id = 0; id < definition.pieces.size(); ++id)
        if (!definition.pieces[id].plain.empty())
            symbols.emplace(definition.pieces[id].plain, static_cast<int32_t>(id));
    for (const PieceDefinition::Piece& piece : definition.pieces) {
        for (size_t at = 0; at < piece.plain.size();) {
            const std::string_view rest = std::string_view(piece.plain).substr(at);
            const std::string_view character = rest.substr(0, first_char(rest).bytes);
            const auto next =
                static_cast<int32_t>(definition.pieces.size() + definition.loose_characters.size());
            if (symbols.emplace(character, next).second)
                definition.loose_characters.emplace_back(character);
            at += character.size();
        }
    }
    const auto ranks = rank_scores(model);
    const auto mergeable = [&](std::string_view text) -> int32_t {
        const auto found = symbols.find(text);
        if (found == symbols.end()) return -1;
        const auto is_piece = found->second < static_cast<int32_t>(definition.pieces.size());
        const bool frozen = is_piece && definition.pieces[found->second].kind == Kind::UserDefined;
        return frozen ? -1 : found->second;
    };
    for (size_t id = 0; id < definition.pieces.size(); ++id) {
        const std::string_view plain = definition.pieces[id].plain;
        if (plain.empty()) continue;
        const int32_t rank = ranks.at(model.pieces[id].score);
        for (const size_t at : inner_offsets(plain)) {
            const int32_t left = mergeable(plain.substr(0, at)),
                          right = mergeable(plain.substr(at));
            if (left >= 0 && right >= 0)
                definition.merges.push_back({left, right, {rank, static_cast<int32_t>(id)}});
        }
    }
}

// ---- The configuration files in the directory ----

// The tokens of a vocabulary that text is searched for.
class AddedTokens {
  public:
    explicit AddedTokens(PieceDefinition& definition) : added_(definition.added) {
        for (size_t id = 0; id < definition.pieces.size(); ++id)
            ids_.emplace(definition.pieces[id].spelling, static_cast<int32_t>(id));
    }

    // Adds a token that the file `where` names, unless it is there already or is no piece.
    void add_named(const Json& entry, const std::string& where) {
        AddedToken token;
        token.content = entry.is_string() ? entry.get<std::string>() : "";
        if (entry.is_object()) token = read_added_token(JsonFields(entry, where), 0);
        token.special = true;
        token.normalized = false;
        const auto id = ids_.find(token.content);
        if (id == ids_.end() || !known_.insert(token.content).second) return;
        token.id = id->second;
        added_.push_back(std::move(token));
    }

    void add(AddedToken token) {
        known_.insert(token.content);
        added_.push_back(std::move(token));
    }

  private:
    std::vector<AddedToken>& added_;
    std::unordered_map<std::string_view, int32_t> ids_;  // of the pieces, by spelling
    std::unordered_set<std::string> known_;
};

// Special tokens are found in text even if no file lists them as added.
void read_added(const TokenizerFiles& files, const Json& config, const std::string& where,
                PieceDefinition& definition) {
    definition.added = read_added_tokens_decoder(config, where);
    if (!definition.added.empty()) {
        for (AddedToken& token : definition.added) token.normalized = false;
        return;
    }
    const std::string config_file = where + "/tokenizer_config.json";
    AddedTokens tokens(definition);
    const Json listed = parse_json_file(files, "added_tokens.json", where);
    for (const auto& [content, id] : listed.items()) {
        AddedToken token;
        token.content = content;
        token.id = read_id(id, where + "/added_tokens.json");
        tokens.add(std::move(token));
    }
    for (const char* key : {"bos_token", "eos_token", "unk_token", "pad_token"})
        if (config.contains(key)) tokens.add_named(config[key], config_file);
    for (const Json& entry : JsonFields(config, config_file).list("additional_special_tokens"))
        tokens.add_named(entry, config_file);
}

void apply_config(const SentencePieceModel& model, const Json& config, const std::string& where,
                  PieceDefinition& definition) {
    // Not legacy: the wrapper adds the prefix, and only before the first text.
    const JsonFields fields(config, where + "/tokenizer_config.json");
    const bool legacy = fields.boolean("legacy", true);
    TextRules& rules = definition.rules;
    rules.prefix = model.add_dummy_prefix ? TextRules::Prefix::Always : TextRules::Prefix::Never;
    if (!legacy)
        rules.prefix = fields.boolean("add_prefix_space", true) ? TextRules::Prefix::First
                                                                : TextRules::Prefix::Never;
    definition.marks_are_spaces = !legacy;
    definition.lone_prefix = rules.prefix == TextRules::Prefix::First;
    definition.bos = token_named(config, "bos_token", where);
    definition.eos = token_named(config, "eos_token", where);
    definition.pad = token_named(config, "pad_token", where);
    definition.adds_bos = fields.boolean("add_bos_token", true) && !definition.bos.empty();
}

// Uses the model's own settings for what no other file sets.
Json with_defaults(Json config, const SentencePieceModel& model, const std::string& where) {
    const auto control = [&](const std::string& text) {
        return std::any_of(model.pieces.begin(), model.pieces.end(), [&](const auto& piece) {
            return piece.type == Type::Control && piece.text == text;
        });
    };
    // The first converted Llama names its tokens "".
    const auto lacks = [&](const char* key) {
        return !config.contains(key) ||
               (!config[key].is_null() && token_named(config, key, where).empty());
    };
    if (lacks("bos_token") && control(model.bos_piece)) config["bos_token"] = model.bos_piece;
    if (lacks("eos_token") && control(model.eos_piece)) config["eos_token"] = model.eos_piece;
    for (const SentencePieceModel::Piece& piece : model.pieces)
        if (lacks("unk_token") && piece.type == Type::Unknown) config["unk_token"] = piece.text;
    return config;
}

}  // namespace

PieceDefinition read_piece_model(const TokenizerFiles& files, const std::string& where) {
    const std::string file = where + "/tokenizer.model";
    VILA_CHECK(
        !is_tiktoken(files.at("tokenizer.model")), file,
        ": a tiktoken vocabulary, as Meta distributes Llama 3, not one of SentencePiece: put "
        "the tokenizer.json of the model's Hugging Face form beside it");
    const SentencePieceModel model = read_sentencepiece_model(files.at("tokenizer.model"), file);
    check_supported(model, file);
    PieceDefinition definition;
    definition.byte_fallback = model.byte_fallback;
    definition.sheds_all_spaces = model.remove_extra_whitespaces;
    definition.broken = Tokenizer::Broken::Byte;
    TextRules& rules = definition.rules;
    rules.replaces_broken = true;
    rules.removes_spaces = model.remove_extra_whitespaces;
    if (!model.charsmap.empty()) rules.charsmap = Charsmap(model.charsmap, file);
    read_pieces(model, file, definition);
    for (size_t id = 0; id < definition.pieces.size(); ++id)
        if (definition.pieces[id].kind == Kind::UserDefined)
            rules.keeps.add(definition.pieces[id].spelling, static_cast<int64_t>(id));
    list_merges(model, definition);
    try {
        const Json config = with_defaults(read_tokenizer_config(files, where), model, where);
        read_added(files, config, where, definition);
        apply_config(model, config, where, definition);
    } catch (const Json::exception& error) {
        throw Error(str(where, "/tokenizer_config.json: ", json_error_text(error)));
    }
    return definition;
}

}  // namespace vila::data
