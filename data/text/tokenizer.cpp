#include "data/text/tokenizer.h"

#include "data/text/bpe_tokenizer.h"
#include "data/text/piece_tokenizer.h"
#include "data/text/unicode.h"
#include "tensor/check.h"
#include "tensor/file.h"
#include "tensor/path_kind.h"

namespace vila::data {

namespace {

constexpr const char* kTokenizerFiles[] = {
    "tokenizer.json",           // the whole tokenizer, as transformers writes it
    "tokenizer.model",          // a SentencePiece model
    "tokenizer_config.json",    // special tokens, whether to add them, the class in transformers
    "special_tokens_map.json",  // special tokens, in older directories
    "added_tokens.json",        // tokens that were added to the vocabulary, in older directories
    "vocab.json",               // BPE vocabulary of older readers
    "merges.txt",               // BPE merges of older readers
    "chat_template.json",       // chat template of a processor
    "chat_template.jinja",      // chat template, in newer directories
    "generation_config.json",   // sampling defaults and stop ids of the model
};

std::string shown_text(std::string_view bytes, Tokenizer::Broken broken) {
    return broken == Tokenizer::Broken::Byte ? valid_utf8_by_bytes(bytes) : valid_utf8(bytes);
}

}  // namespace

std::vector<std::string> tokenizer_files() {
    return {std::begin(kTokenizerFiles), std::end(kTokenizerFiles)};
}

std::string Tokenizer::decode_bytes(std::span<const int32_t> ids, bool skip_special) const {
    std::string bytes;
    bool at_start = true;
    for (const int32_t id : ids) {
        std::string piece = token_bytes(id);
        if (piece.empty() || (skip_special && is_special(id))) continue;
        if (at_start && sheds_first_space(id)) piece.erase(0, 1);
        bytes += piece;
        at_start = sheds_all_first_spaces() && bytes.empty();
    }
    return bytes;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
    return shown_text(decode_bytes(ids, skip_special), broken_bytes());
}

TokenizerFiles read_tokenizer_files(const std::filesystem::path& directory) {
    TokenizerFiles files;
    for (const char* name : kTokenizerFiles)
        if (path_exists(directory / name)) files[name] = read_file(directory / name);
    return files;
}

std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& directory) {
    const std::string where = directory.string();
    VILA_CHECK(directory_exists(directory), where,
               " is not a directory: expected one with tokenizer.json or tokenizer.model");
    TokenizerFiles files = read_tokenizer_files(directory);
    VILA_CHECK(files.contains("tokenizer.json") || files.contains("tokenizer.model"), where,
               ": has no tokenizer.json or tokenizer.model: copy the tokenizer's files into it "
               "from the repository of its model");
    return make_tokenizer(std::move(files), where);
}

std::unique_ptr<Tokenizer> make_tokenizer(TokenizerFiles files, const std::string& where) {
    if (!files.contains("tokenizer.json")) {
        VILA_CHECK(files.contains("tokenizer.model"), where, " has no tokenizer.model");
        PieceDefinition definition = read_piece_model(files, where);
        return std::make_unique<PieceTokenizer>(std::move(definition), std::move(files), where);
    }
    if (is_piece_json(files, where)) {
        PieceDefinition definition = read_piece_json(files, where);
        return std::make_unique<PieceTokenizer>(std::move(definition), std::move(files), where);
    }
    return std::make_unique<BpeTokenizer>(std::move(files), where);
}

StreamingDecoder::StreamingDecoder(const Tokenizer& tokenizer, bool skip_special)
    : tokenizer_(tokenizer), skip_special_(skip_special) {}

std::string StreamingDecoder::push(int32_t id) {
    std::string piece = tokenizer_.token_bytes(id);
    if (piece.empty() || (skip_special_ && tokenizer_.is_special(id))) return "";
    if (at_start_ && tokenizer_.sheds_first_space(id)) piece.erase(0, 1);
    at_start_ = at_start_ && tokenizer_.sheds_all_first_spaces() && piece.empty();
    held_ += piece;
    const std::string whole = held_.substr(0, held_.size() - incomplete_tail(held_));
    held_.erase(0, whole.size());
    return shown_text(whole, tokenizer_.broken_bytes());
}

std::string StreamingDecoder::finish() {
    const std::string rest = shown_text(held_, tokenizer_.broken_bytes());
    held_.clear();
    at_start_ = true;
    return rest;
}

}  // namespace vila::data
