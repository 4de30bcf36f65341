#include "data/tokenizer.h"

#include "data/bpe_tokenizer.h"
#include "data/unicode.h"
#include "tensor/check.h"
#include "tensor/file.h"

namespace vila::data {

namespace {

// Whatever a tokenizer's directory may hold that has a part in ids or belongs to its owner.
constexpr const char* kTokenizerFiles[] = {
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
};

}  // namespace

std::string Tokenizer::decode_bytes(std::span<const int32_t> ids, bool skip_special) const {
    std::string bytes;
    bool at_start = true;
    for (const int32_t id : ids) {
        std::string piece = token_bytes(id);
        if (piece.empty() || (skip_special && is_special(id))) continue;
        if (at_start && drops_first_space() && piece[0] == ' ') piece.erase(0, 1);
        at_start = false;
        bytes += piece;
    }
    return bytes;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
    return valid_utf8(decode_bytes(ids, skip_special));
}

std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& directory) {
    VILA_CHECK(std::filesystem::is_directory(directory), directory.string(),
               " is not a directory: expected one with tokenizer.json");
    TokenizerFiles files;
    for (const char* name : kTokenizerFiles)
        if (std::filesystem::exists(directory / name)) files[name] = read_file(directory / name);
    VILA_CHECK(files.contains("tokenizer.json"), directory.string(),
               " has no tokenizer.json: expected a model's llm directory");
    return std::make_unique<BpeTokenizer>(std::move(files), directory.string());
}

StreamingDecoder::StreamingDecoder(const Tokenizer& tokenizer, bool skip_special)
    : tokenizer_(tokenizer), skip_special_(skip_special) {}

std::string StreamingDecoder::push(int32_t id) {
    std::string piece = tokenizer_.token_bytes(id);
    if (piece.empty() || (skip_special_ && tokenizer_.is_special(id))) return "";
    if (at_start_ && tokenizer_.drops_first_space() && piece[0] == ' ') piece.erase(0, 1);
    at_start_ = false;
    held_ += piece;
    const std::string whole = held_.substr(0, held_.size() - incomplete_tail(held_));
    held_.erase(0, whole.size());
    return valid_utf8(whole);
}

std::string StreamingDecoder::finish() {
    const std::string rest = valid_utf8(held_);
    held_.clear();
    at_start_ = true;
    return rest;
}

}  // namespace vila::data
