#pragma once

// Tokenizer: text to token ids and back. One interface for the kinds of vocabulary that language
// models use; load_tokenizer() detects which kind a directory holds.

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vila::data {

// The contents of a tokenizer's files by name, such as "tokenizer.json".
using TokenizerFiles = std::map<std::string, std::string>;

// The names of the files that make up a tokenizer or travel with it, in the directory of a language
// model. A directory holds some of them.
std::vector<std::string> tokenizer_files();

// The position of a text in its sequence. Byte-level vocabularies ignore it. SentencePiece puts a
// space in front of text that begins a sequence, and by one convention after each special token
// too.
enum class TextPlace {
    Start,       // begins a sequence, or follows an image (which begins a new one)
    AfterToken,  // follows a special token
    Continues,   // follows other text that was encoded on its own
};

struct EncodeOptions {
    // false: "</s>" in the text is four characters. true: added tokens of the vocabulary are found
    // in the text, as raw prompts need.
    bool parse_added_tokens = false;
    TextPlace place = TextPlace::Start;
};

// Immutable after construction: any number of threads may share one.
class Tokenizer {
  public:
    virtual ~Tokenizer() = default;

    // Encodes any bytes, valid UTF-8 or not. Adds no beginning- or end-of-sequence token.
    virtual std::vector<int32_t> encode(std::string_view text,
                                        const EncodeOptions& options = {}) const = 0;
    // Returns the exact bytes of the ids: decode_bytes(encode(x)) == x for every x that the
    // vocabulary's normalizer does not change. skip_special leaves out tokens marked special, such
    // as the end of sequence. Throws for an id outside [0, vocab_size()).
    std::string decode_bytes(std::span<const int32_t> ids, bool skip_special = false) const;
    // Returns decode_bytes() as valid UTF-8; see broken_bytes().
    std::string decode(std::span<const int32_t> ids, bool skip_special = false) const;

    // Returns the number of ids; the embedding table of a model has at least that many rows.
    virtual int64_t vocab_size() const = 0;
    // Returns the bytes of one token within a text. Throws for an id outside [0, vocab_size()).
    virtual std::string token_bytes(int32_t id) const = 0;
    // Returns whether the token, at the beginning of a decoded text, loses its first space, which
    // encode() added.
    virtual bool sheds_first_space(int32_t) const { return false; }
    // Returns whether all spaces at the beginning of a decoded text are dropped.
    virtual bool sheds_all_first_spaces() const { return false; }
    // Which bytes of an invalid UTF-8 sequence one U+FFFD replaces in decoded text.
    enum class Broken {
        Sequence,  // each maximal part of a character, as in most programs
        // Each byte that is not part of a character, as in SentencePiece. The Hugging Face package
        // replaces every byte of a run of byte tokens that contains one, even line ends.
        Byte,
    };
    virtual Broken broken_bytes() const { return Broken::Sequence; }
    // Returns the token as the vocabulary file spells it ("Ġthe", "▁the", "<|im_end|>").
    virtual std::string token(int32_t id) const = 0;
    virtual std::optional<int32_t> token_to_id(std::string_view token) const = 0;
    virtual bool is_special(int32_t id) const = 0;

    virtual std::optional<int32_t> bos_id() const = 0;
    virtual std::optional<int32_t> eos_id() const = 0;
    virtual std::optional<int32_t> pad_id() const = 0;
    // Returns whether a sequence begins with bos_id() (Llama: yes; Qwen2, GPT-2: no).
    virtual bool adds_bos() const = 0;

    // Writes the files (tokenizer.json, tokenizer_config.json, ...), which transformers opens with
    // identical ids. Creates the directory if it is missing.
    virtual void save(const std::filesystem::path& directory) const = 0;
};

// Loads the tokenizer of a model's llm/ directory, or of any directory with tokenizer files:
// tokenizer.json if there is one, as in transformers, else tokenizer.model. Throws if there is
// neither, or if a setting that is not implemented would change ids.
std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& directory);
// Reads those of tokenizer_files() that the directory holds.
TokenizerFiles read_tokenizer_files(const std::filesystem::path& directory);
// Makes a tokenizer from the contents of its files; `where` names their directory in errors.
std::unique_ptr<Tokenizer> make_tokenizer(TokenizerFiles files, const std::string& where);

// Decodes ids one at a time. A UTF-8 character that spans several tokens appears with its last
// byte. The returned texts, joined, equal decode() of all the ids.
class StreamingDecoder {
  public:
    explicit StreamingDecoder(const Tokenizer& tokenizer, bool skip_special = true);
    // Returns the text that this id completes; empty inside a character.
    std::string push(int32_t id);
    // Returns the rest at the end: U+FFFD for an incomplete character.
    std::string finish();

  private:
    const Tokenizer& tokenizer_;
    bool skip_special_;
    bool at_start_ = true;  // no text has been returned yet
    std::string held_;      // bytes of an incomplete character
};

}  // namespace vila::data
