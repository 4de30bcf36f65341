#pragma once

// The byte-level BPE tokenizer of Llama 3, Qwen2 and GPT-2.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/text/added_tokens.h"
#include "data/text/bpe_format.h"
#include "data/text/bpe_merges.h"
#include "data/text/vocabulary_tokenizer.h"
#include "data/text/word_table.h"

namespace vila::data {

class BpeTokenizer final : public VocabularyTokenizer {
  public:
    // Keeps the files for save(). `where` names their directory in errors. Throws as read_bpe()
    // does.
    BpeTokenizer(TokenizerFiles files, const std::string& where);

    std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options) const override;
    int64_t vocab_size() const override { return static_cast<int64_t>(tokens_.size()); }
    std::string token_bytes(int32_t id) const override;
    std::string token(int32_t id) const override;
    bool is_special(int32_t id) const override;

  private:
    struct Token {
        std::string spelling;     // as in the file
        std::string bytes;        // the bytes it decodes to
        bool is_special = false;  // left out when decoding without special tokens
        bool is_plain = false;    // can result from text: not an added token
    };

    void fill_tokens(const BpeDefinition& definition);
    void fill_bytes(const BpeDefinition& definition);
    void fill_merges(const BpeDefinition& definition);
    void fill_words(bool ignore_merges);
    const Token& at(int32_t id) const;
    // Splits by splits_[split] and the steps after it, and appends the ids of the words.
    void encode_text(std::string_view text, size_t split, std::vector<int32_t>& ids) const;
    void encode_word(std::string_view word, std::vector<int32_t>& symbols,
                     std::vector<int32_t>& ids) const;
    void append_bytes(std::string_view bytes, std::vector<int32_t>& symbols) const;

    std::string where_;
    std::vector<SplitStep> splits_;
    bool composes_ = false;  // normalizes to NFC
    std::vector<Token> tokens_;
    std::vector<int32_t> byte_symbols_;  // (256) id of each single byte; -1: it has none
    int32_t unknown_id_ = -1;            // the token of bytes without an id; -1: they are dropped
    bool fuses_unknown_ = false;
    WordTable words_;  // words that become one token, without merging
    BpeMerges merges_;
    AddedTokenFinder raw_tokens_, normalized_tokens_;
};

}  // namespace vila::data
