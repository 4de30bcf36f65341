// Encoding prepares a text, cuts it where no piece can cover both sides, and looks up each part as
// a whole. Only parts that are no piece are merged from their characters.

#include "data/text/piece_tokenizer.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "data/text/tokenizer_json.h"
#include "data/text/unicode.h"

namespace vila::data {

PieceTokenizer::PieceTokenizer(PieceDefinition definition, TokenizerFiles files,
                               const std::string& where)
    : VocabularyTokenizer(std::move(files)),
      rules_(std::move(definition.rules)),
      pieces_(std::move(definition.pieces)),
      first_loose_(static_cast<int32_t>(pieces_.size())),
      loose_(std::move(definition.loose_characters)),
      unknown_id_(definition.unknown_id),
      fuses_unknown_(definition.fuses_unknown),
      ignore_merges_(definition.ignore_merges),
      splits_at_spaces_(definition.splits_at_spaces),
      sheds_all_spaces_(definition.sheds_all_spaces),
      marks_are_spaces_(definition.marks_are_spaces),
      lone_prefix_(definition.lone_prefix),
      broken_(definition.broken) {
    merges_ = BpeMerges(static_cast<int64_t>(definition.merges.size()));
    for (const PieceDefinition::Merge& merge : definition.merges)
        merges_.add(merge.left, merge.right, merge.result);
    fill_symbols(definition);
    fill_words(definition);
    add_tokens(definition, where);
    for (size_t id = 0; id < pieces_.size(); ++id)
        if (pieces_[id].kind != Kind::None)
            add_spelling(pieces_[id].spelling, static_cast<int32_t>(id));
    set_sequence_tokens(definition.bos, definition.eos, definition.pad, definition.adds_bos, where);
}

void PieceTokenizer::add_tokens(const PieceDefinition& definition, const std::string& where) {
    for (AddedToken added : definition.added) {
        check_added_token(added, static_cast<int64_t>(first_loose_), where);
        if (added.id >= vocab_size()) pieces_.resize(added.id + 1);
        PieceDefinition::Piece& piece = pieces_[added.id];
        const std::string spelling = added.content;
        if (added.normalized && !rules_.after_added_tokens)
            added.content = rules_.prepare(spelling, rules_.prefixes(TextPlace::Start));
        else if (added.normalized)
            added.content = rules_.searched(spelling);
        if (piece.spelling != spelling || piece.kind == Kind::None) {
            piece = {spelling, "", plain_text(added.content), Kind::Hidden, added.special, false};
            piece.sheds_space = definition.sheds_space && piece.decoded.starts_with(' ');
        }
        piece.is_special = piece.is_special || added.special;
        (added.normalized ? normalized_tokens_ : raw_tokens_).add(added);
    }
}

void PieceTokenizer::fill_symbols(const PieceDefinition& definition) {
    ascii_symbols_.assign(128, -1);
    const auto add = [&](const std::string& plain, int32_t symbol) {
        const auto byte = static_cast<uint8_t>(plain[0]);
        if (first_char(plain).bytes != static_cast<int64_t>(plain.size())) return;
        if (byte < 0x80)
            ascii_symbols_[byte] = symbol;
        else
            characters_.add(plain, symbol);
    };
    std::vector<int32_t> bytes(256, -1);
    for (int32_t id = 0; id < first_loose_; ++id) {
        const PieceDefinition::Piece& piece = pieces_[id];
        if (!piece.plain.empty()) add(piece.plain, id);
        if (piece.kind == Kind::Byte) bytes[static_cast<uint8_t>(piece.decoded[0])] = id;
        if (piece.kind == Kind::UserDefined) user_defined_.add(piece.plain, id);
        has_unused_ = has_unused_ || piece.kind == Kind::Unused;
    }
    for (size_t i = 0; i < loose_.size(); ++i)
        add(loose_[i], first_loose_ + static_cast<int32_t>(i));
    if (definition.byte_fallback) byte_ids_ = std::move(bytes);
    has_all_bytes_ =
        !byte_ids_.empty() && std::find(byte_ids_.begin(), byte_ids_.end(), -1) == byte_ids_.end();
}

void PieceTokenizer::fill_words(const PieceDefinition& definition) {
    for (const PieceDefinition::Merge& merge : definition.merges)
        pairs_.add(pieces_[merge.result.id].plain);
    Ids symbols;
    for (int32_t id = 0; id < first_loose_; ++id) {
        const PieceDefinition::Piece& piece = pieces_[id];
        if (piece.plain.empty() || piece.kind == Kind::Unused) continue;
        if (ignore_merges_) all_words_.add(piece.plain, id);
        symbols.clear();
        append_symbols(piece.plain, symbols);
        merges_.apply(symbols);
        if (symbols.size() == 1 && symbols[0] == id) words_.add(piece.plain, id);
    }
}

std::vector<int32_t> PieceTokenizer::encode(std::string_view text,
                                            const EncodeOptions& options) const {
    Ids ids;
    ids.reserve(text.size() / 3 + 2);
    if (options.parse_added_tokens)
        encode_parsed(marks_are_spaces_ ? plain_text(text) : std::string(text), options.place, ids);
    else
        encode_text(text, options.place, ids);
    return ids;
}

void PieceTokenizer::encode_parsed(std::string_view text, TextPlace place, Ids& ids) const {
    const auto on_token = [&](int32_t id) {
        if (lone_prefix_ && place == TextPlace::Start && !at(id).is_special) encode_plain(" ", ids);
        ids.push_back(id);
        place = TextPlace::AfterToken;
    };
    const auto on_text = [&](std::string_view part) {
        encode_text(part, place, ids);
        place = TextPlace::Continues;
    };
    raw_tokens_.split(
        text,
        [&](std::string_view part) {
            if (normalized_tokens_.empty()) return on_text(part);
            if (rules_.after_added_tokens)
                return normalized_tokens_.split(rules_.searched(part), on_text, on_token);
            const std::string plain = rules_.prepare(part, rules_.prefixes(place));
            normalized_tokens_.split(
                plain, [&](std::string_view piece) { encode_plain(piece, ids); }, on_token);
            place = TextPlace::Continues;
        },
        on_token);
}

void PieceTokenizer::encode_text(std::string_view text, TextPlace place, Ids& ids) const {
    encode_plain(rules_.prepare(text, rules_.prefixes(place)), ids);
}

void PieceTokenizer::encode_plain(std::string_view plain, Ids& ids) const {
    if (user_defined_.empty()) return encode_words(plain, ids);
    size_t done = 0;
    for (size_t at = 0; at < plain.size();) {
        const PrefixTrie::Match match = user_defined_.may_begin(plain[at])
                                            ? user_defined_.longest(plain.substr(at))
                                            : PrefixTrie::Match{};
        if (match.value < 0) {
            ++at;
            continue;
        }
        encode_words(plain.substr(done, at - done), ids);
        ids.push_back(static_cast<int32_t>(match.value));
        done = at += match.bytes;
    }
    encode_words(plain.substr(done), ids);
}

void PieceTokenizer::encode_words(std::string_view plain, Ids& ids) const {
    Ids symbols;
    if (!splits_at_spaces_) return encode_word(plain, symbols, ids);
    while (!plain.empty()) {
        const std::string_view word = plain.substr(0, plain.find(' ', 1));
        encode_word(word, symbols, ids);
        plain.remove_prefix(word.size());
    }
}

void PieceTokenizer::encode_word(std::string_view word, Ids& symbols, Ids& ids) const {
    if (word.empty()) return;
    if (ignore_merges_) {
        const int32_t whole = all_words_.find(word);
        if (whole >= 0) return ids.push_back(whole);
    }
    const size_t before = ids.size();
    if (has_unused_) {
        encode_unused(word, ids);
    } else {
        // The neighbors of a dropped character may merge, so such a word is not cut.
        const bool drops = unknown_id_ < 0 && !has_all_bytes_;
        while (!word.empty()) {
            const std::string_view chunk =
                word.substr(0, drops ? word.size() : pairs_.uncut_bytes(word));
            encode_chunk(chunk, symbols, ids);
            word.remove_prefix(chunk.size());
        }
    }
    if (!fuses_unknown_ || has_all_bytes_) return;
    const auto end = std::unique(ids.begin() + static_cast<int64_t>(before), ids.end(),
                                 [&](int32_t a, int32_t b) { return a == b && a == unknown_id_; });
    ids.erase(end, ids.end());
}

void PieceTokenizer::encode_chunk(std::string_view chunk, Ids& symbols, Ids& ids) const {
    const int32_t whole = words_.find(chunk);
    if (whole >= 0) return ids.push_back(whole);
    symbols.clear();
    append_symbols(chunk, symbols);
    merges_.apply(symbols);
    append_result(symbols, ids);
}

// Splits each unused piece into the last pair that could have formed it anywhere in the text, which
// is the pair that the library remembers.
void PieceTokenizer::encode_unused(std::string_view plain, Ids& ids) const {
    Ids symbols;
    append_symbols(plain, symbols);
    std::unordered_map<int32_t, std::pair<int32_t, int32_t>> parts;
    merges_.apply(symbols, [&](int32_t left, int32_t right, int32_t merged) {
        if (pieces_[merged].kind == Kind::Unused) parts[merged] = {left, right};
    });
    Ids rest(symbols.rbegin(), symbols.rend()), used;
    while (!rest.empty()) {
        const int32_t symbol = rest.back();
        rest.pop_back();
        const auto pair = parts.find(symbol);
        if (pair == parts.end()) {
            used.push_back(symbol);
        } else {
            rest.push_back(pair->second.second);
            rest.push_back(pair->second.first);
        }
    }
    append_result(used, ids);
}

void PieceTokenizer::append_symbols(std::string_view text, Ids& symbols) const {
    while (!text.empty()) {
        const auto byte = static_cast<uint8_t>(text[0]);
        const auto bytes = byte < 0x80 ? 1 : static_cast<size_t>(first_char(text).bytes);
        const std::string_view character = text.substr(0, bytes);
        const int32_t symbol = byte < 0x80 ? ascii_symbols_[byte] : characters_.find(character);
        if (symbol >= 0)
            symbols.push_back(symbol);
        else
            append_bytes(character, symbols);
        text.remove_prefix(bytes);
    }
}

void PieceTokenizer::append_bytes(std::string_view text, Ids& ids) const {
    const size_t before = ids.size();
    bool has_bytes = !byte_ids_.empty();
    for (size_t i = 0; i < text.size() && has_bytes; ++i) {
        ids.push_back(byte_ids_[static_cast<uint8_t>(text[i])]);
        has_bytes = ids.back() >= 0;
    }
    if (has_bytes) return;
    ids.resize(before);
    if (unknown_id_ >= 0) ids.push_back(unknown_id_);
}

void PieceTokenizer::append_result(const Ids& symbols, Ids& ids) const {
    for (const int32_t symbol : symbols) {
        if (symbol < first_loose_)
            ids.push_back(symbol);
        else
            append_bytes(loose_[symbol - first_loose_], ids);
    }
}

const PieceDefinition::Piece& PieceTokenizer::at(int32_t id) const {
    check_id(id);
    return pieces_[id];
}

std::string PieceTokenizer::token_bytes(int32_t id) const {
    return at(id).decoded;
}
bool PieceTokenizer::sheds_first_space(int32_t id) const {
    return at(id).sheds_space;
}
std::string PieceTokenizer::token(int32_t id) const {
    return at(id).spelling;
}
bool PieceTokenizer::is_special(int32_t id) const {
    return at(id).is_special;
}

}  // namespace vila::data
