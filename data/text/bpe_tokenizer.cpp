#include "data/text/bpe_tokenizer.h"

#include <algorithm>
#include <utility>

#include "data/text/tokenizer_json.h"
#include "data/text/unicode.h"
#include "tensor/check.h"

namespace vila::data {

BpeTokenizer::BpeTokenizer(TokenizerFiles files, const std::string& where)
    : VocabularyTokenizer(std::move(files)), where_(where) {
    const BpeDefinition definition = read_bpe(this->files(), where);
    splits_ = definition.splits;
    composes_ = definition.composes;
    fill_tokens(definition);
    fill_bytes(definition);
    fill_merges(definition);
    fill_words(definition.ignore_merges);
    set_sequence_tokens(definition.bos, definition.eos, definition.pad, definition.adds_bos, where);
}

void BpeTokenizer::fill_tokens(const BpeDefinition& definition) {
    tokens_.resize(definition.vocabulary.size());
    for (size_t id = 0; id < tokens_.size(); ++id) {
        Token& token = tokens_[id];
        token.spelling = definition.vocabulary[id];
        token.is_plain = !token.spelling.empty() && bytes_of_spelling(token.spelling, token.bytes);
        if (!token.is_plain) token.bytes = token.spelling;
    }
    for (const AddedToken& added : definition.added) {
        check_added_token(added, static_cast<int64_t>(definition.vocabulary.size()), where_);
        if (added.id >= static_cast<int32_t>(tokens_.size())) tokens_.resize(added.id + 1);
        Token& token = tokens_[added.id];
        token = {added.content, "", added.special, false};
        // Added tokens decode like other tokens, after normalization: "\u0120" is a space here too.
        AddedToken searched = added;
        if (added.normalized && composes_) searched.content = nfc(added.content);
        if (!bytes_of_spelling(searched.content, token.bytes)) token.bytes = searched.content;
        (added.normalized ? normalized_tokens_ : raw_tokens_).add(std::move(searched));
    }
    for (size_t id = 0; id < tokens_.size(); ++id)
        if (!tokens_[id].spelling.empty())
            add_spelling(tokens_[id].spelling, static_cast<int32_t>(id));
}

// A single byte may also be listed as an added token; in text it keeps its id.
void BpeTokenizer::fill_bytes(const BpeDefinition& definition) {
    byte_symbols_.assign(256, -1);
    std::string bytes;
    for (size_t id = 0; id < definition.vocabulary.size(); ++id)
        if (bytes_of_spelling(definition.vocabulary[id], bytes) && bytes.size() == 1)
            byte_symbols_[static_cast<uint8_t>(bytes[0])] = static_cast<int32_t>(id);
    const auto missing = std::find(byte_symbols_.begin(), byte_symbols_.end(), -1);
    if (missing == byte_symbols_.end() || definition.unknown.empty()) return;
    const auto unknown = token_to_id(definition.unknown);
    VILA_CHECK(unknown.has_value(), where_, "/tokenizer.json has no token for the byte ",
               missing - byte_symbols_.begin(), ", nor the unk_token \"", definition.unknown,
               "\" that stands for it: expected one of them in its vocab");
    unknown_id_ = *unknown;
    fuses_unknown_ = definition.fuses_unknown;
}

void BpeTokenizer::fill_merges(const BpeDefinition& definition) {
    merges_ = BpeMerges(static_cast<int64_t>(definition.merges.size()));
    int32_t rank = 0;
    for (const auto& [left, right] : definition.merges) {
        const auto left_id = token_to_id(left), right_id = token_to_id(right);
        const auto merged_id = token_to_id(left + right);
        VILA_CHECK(left_id && right_id && merged_id, where_, "/tokenizer.json merges \"", left,
                   "\" and \"", right, "\", which with their sum are not all in the vocabulary");
        merges_.add(*left_id, *right_id, {rank++, *merged_id});
    }
}

void BpeTokenizer::fill_words(bool ignore_merges) {
    words_ = WordTable(vocab_size());
    std::vector<int32_t> symbols;
    for (int32_t id = 0; id < vocab_size(); ++id) {
        const Token& token = tokens_[id];
        if (!token.is_plain) continue;
        symbols.clear();
        append_bytes(token.bytes, symbols);
        if (!ignore_merges) merges_.apply(symbols);
        if (ignore_merges || (symbols.size() == 1 && symbols[0] == id)) words_.add(token.bytes, id);
    }
}

std::vector<int32_t> BpeTokenizer::encode(std::string_view text,
                                          const EncodeOptions& options) const {
    std::vector<int32_t> ids;
    ids.reserve(text.size() / 3 + 1);
    if (!options.parse_added_tokens) {
        encode_text(composes_ ? nfc(text) : text, 0, ids);
        return ids;
    }
    const auto on_token = [&](int32_t id) { ids.push_back(id); };
    raw_tokens_.split(
        text,
        [&](std::string_view part) {
            const std::string composed = composes_ ? nfc(part) : std::string(part);
            normalized_tokens_.split(
                composed, [&](std::string_view piece) { encode_text(piece, 0, ids); }, on_token);
        },
        on_token);
    return ids;
}

void BpeTokenizer::encode_text(std::string_view text, size_t split,
                               std::vector<int32_t>& ids) const {
    std::vector<int32_t> symbols;
    while (!text.empty()) {
        const int64_t length = splits_[split].next_word(text);
        const std::string_view word = text.substr(0, length);
        if (split + 1 < splits_.size())
            encode_text(word, split + 1, ids);
        else
            encode_word(word, symbols, ids);
        text.remove_prefix(length);
    }
}

void BpeTokenizer::append_bytes(std::string_view bytes, std::vector<int32_t>& symbols) const {
    bool after_unknown = false;
    for (const char byte : bytes) {
        const int32_t symbol = byte_symbols_[static_cast<uint8_t>(byte)];
        const bool repeats = symbol < 0 && after_unknown && fuses_unknown_;
        after_unknown = symbol < 0;
        if (symbol >= 0)
            symbols.push_back(symbol);
        else if (unknown_id_ >= 0 && !repeats)
            symbols.push_back(unknown_id_);
    }
}

void BpeTokenizer::encode_word(std::string_view word, std::vector<int32_t>& symbols,
                               std::vector<int32_t>& ids) const {
    const int32_t whole = words_.find(word);
    if (whole >= 0) return ids.push_back(whole);
    symbols.clear();
    append_bytes(word, symbols);
    merges_.apply(symbols);
    ids.insert(ids.end(), symbols.begin(), symbols.end());
}

const BpeTokenizer::Token& BpeTokenizer::at(int32_t id) const {
    check_id(id);
    return tokens_[id];
}

std::string BpeTokenizer::token_bytes(int32_t id) const {
    return at(id).bytes;
}
std::string BpeTokenizer::token(int32_t id) const {
    return at(id).spelling;
}
bool BpeTokenizer::is_special(int32_t id) const {
    return at(id).is_special;
}

}  // namespace vila::data
