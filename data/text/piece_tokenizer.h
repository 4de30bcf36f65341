#pragma once

// The tokenizer of Llama 1 and 2, Vicuna and Yi: BPE over characters, spaces included, and bytes
// for characters that are not in the vocabulary (Sennrich et al. 2016; Kudo and Richardson 2018).
// Ids equal those of the SentencePiece library for tokenizer.model, and those of the Hugging Face
// package for tokenizer.json.

#include <string>
#include <string_view>
#include <vector>

#include "data/text/bpe_merges.h"
#include "data/text/piece_format.h"
#include "data/text/prefix_trie.h"
#include "data/text/text_pairs.h"
#include "data/text/vocabulary_tokenizer.h"
#include "data/text/word_table.h"

namespace vila::data {

class PieceTokenizer final : public VocabularyTokenizer {
  public:
    // Keeps the files for save(). `where` names their directory in errors.
    PieceTokenizer(PieceDefinition definition, TokenizerFiles files, const std::string& where);

    std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options) const override;
    int64_t vocab_size() const override { return static_cast<int64_t>(pieces_.size()); }
    std::string token_bytes(int32_t id) const override;
    bool sheds_first_space(int32_t id) const override;
    bool sheds_all_first_spaces() const override { return sheds_all_spaces_; }
    Broken broken_bytes() const override { return broken_; }
    std::string token(int32_t id) const override;
    bool is_special(int32_t id) const override;

  private:
    using Ids = std::vector<int32_t>;
    using Kind = PieceDefinition::Kind;

    void add_tokens(const PieceDefinition& definition, const std::string& where);
    void fill_symbols(const PieceDefinition& definition);
    void fill_words(const PieceDefinition& definition);
    const PieceDefinition::Piece& at(int32_t id) const;

    void encode_parsed(std::string_view text, TextPlace place, Ids& ids) const;
    void encode_text(std::string_view text, TextPlace place, Ids& ids) const;
    void encode_plain(std::string_view plain, Ids& ids) const;
    void encode_words(std::string_view plain, Ids& ids) const;
    void encode_word(std::string_view word, Ids& symbols, Ids& ids) const;
    void encode_chunk(std::string_view chunk, Ids& symbols, Ids& ids) const;
    void encode_unused(std::string_view plain, Ids& ids) const;
    void append_symbols(std::string_view text, Ids& symbols) const;
    void append_bytes(std::string_view text, Ids& ids) const;
    void append_result(const Ids& symbols, Ids& ids) const;

    TextRules rules_;
    std::vector<PieceDefinition::Piece> pieces_;  // includes added tokens
    int32_t first_loose_ = 0;                     // symbols from here on are loose characters
    std::vector<std::string> loose_;
    std::vector<int32_t> ascii_symbols_;  // (128), -1: none
    WordTable characters_;                // other single characters to symbols
    WordTable words_;                     // from plain texts to the piece they become
    WordTable all_words_;  // from plain texts to the piece they spell, for ignore_merges
    TextPairs pairs_;
    BpeMerges merges_;
    PrefixTrie user_defined_;
    AddedTokenFinder raw_tokens_, normalized_tokens_;
    std::vector<int32_t> byte_ids_;  // (256), -1: none; empty without byte fallback
    bool has_all_bytes_ = false;
    int32_t unknown_id_ = -1;
    bool fuses_unknown_ = false, ignore_merges_ = false, splits_at_spaces_ = false;
    bool has_unused_ = false, sheds_all_spaces_ = false, marks_are_spaces_ = false,
         lone_prefix_ = false;
    Broken broken_ = Broken::Sequence;
};

}  // namespace vila::data
