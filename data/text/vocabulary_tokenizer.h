#pragma once

// VocabularyTokenizer: the part that byte-level BPE and piece tokenizers share, however they split
// and merge text: the map from spellings to ids, the tokens of a sequence, and the files to save.

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "data/text/tokenizer.h"

namespace vila::data {

class VocabularyTokenizer : public Tokenizer {
  public:
    std::optional<int32_t> token_to_id(std::string_view token) const final;
    std::optional<int32_t> bos_id() const final { return bos_id_; }
    std::optional<int32_t> eos_id() const final { return eos_id_; }
    std::optional<int32_t> pad_id() const final { return pad_id_; }
    bool adds_bos() const final { return adds_bos_; }
    // Writes the files exactly as they were read.
    void save(const std::filesystem::path& directory) const final;

  protected:
    explicit VocabularyTokenizer(TokenizerFiles files) : files_(std::move(files)) {}

    const TokenizerFiles& files() const { return files_; }
    // If several ids have one spelling, token_to_id() returns the first one added.
    void add_spelling(const std::string& spelling, int32_t id);
    // Sets the tokens that begin, end and pad a sequence, by name; an empty name stands for none.
    // Call after all spellings are added. A name that the vocabulary lacks stands for none too:
    // transformers gives it a new id, for which a model has no embedding. Throws, with `where` in
    // front, if sequences begin with such a `bos`.
    void set_sequence_tokens(const std::string& bos, const std::string& eos, const std::string& pad,
                             bool adds_bos, const std::string& where);
    // Throws for an id outside [0, vocab_size()).
    void check_id(int32_t id) const;

  private:
    TokenizerFiles files_;
    std::unordered_map<std::string, int32_t> ids_;  // by spelling
    std::optional<int32_t> bos_id_, eos_id_, pad_id_;
    bool adds_bos_ = false;
};

}  // namespace vila::data
