#pragma once

// Tokenizer: text to token ids and back. One interface over the kinds of vocabulary that language
// models come with; load_tokenizer() finds out which one a directory holds.

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

// The contents of a tokenizer's files by name: "tokenizer.json" and whatever stood beside it.
using TokenizerFiles = std::map<std::string, std::string>;

// The names of the files that make up a tokenizer or travel with it, in the directory of a language
// model. A directory holds some of them.
std::vector<std::string> tokenizer_files();

// Where a piece of text stands. Byte-level vocabularies do not care; SentencePiece puts a space in
// front of the text that begins a sequence, and by one convention after each special token too.
enum class TextPlace {
    Start,       // begins a sequence, or follows an image (which begins a new one)
    AfterToken,  // follows a special token
    Continues,   // follows other text that was encoded on its own
};

struct EncodeOptions {
    // false: "</s>" in the text is four characters, whoever wrote it. true: added tokens of the
    // vocabulary are found in the text, as raw prompts want it.
    bool parse_added_tokens = false;
    TextPlace place = TextPlace::Start;
};

// Immutable once made, so that any number of threads may use one.
class Tokenizer {
  public:
    virtual ~Tokenizer() = default;

    // Any bytes are legal, valid UTF-8 or not. Adds no beginning- or end-of-sequence token.
    virtual std::vector<int32_t> encode(std::string_view text,
                                        const EncodeOptions& options = {}) const = 0;
    // The exact bytes the ids stand for: decode_bytes(encode(x)) == x for every x that the
    // vocabulary's normalizer leaves alone. Throws for an id outside [0, vocab_size()).
    // skip_special: leave out tokens marked special, such as the end of sequence.
    std::string decode_bytes(std::span<const int32_t> ids, bool skip_special = false) const;
    // decode_bytes() as valid UTF-8, see broken_bytes().
    std::string decode(std::span<const int32_t> ids, bool skip_special = false) const;

    // Number of ids; the embedding table of a model has at least that many rows.
    virtual int64_t vocab_size() const = 0;
    // The bytes one token stands for within a text. Throws for an id outside [0, vocab_size()).
    virtual std::string token_bytes(int32_t id) const = 0;
    // Whether a token that begins a decoded text stands there without its first space, which
    // encode() put in front of the text.
    virtual bool sheds_first_space(int32_t) const { return false; }
    // Whether that goes on until something other than spaces has come.
    virtual bool sheds_all_first_spaces() const { return false; }
    // What becomes one U+FFFD in decoded text.
    enum class Broken {
        Sequence,  // each maximal part of a character, as in most programs
        // Each byte that is not part of a character, as in SentencePiece. The Hugging Face package
        // gives up every byte of a run of byte tokens that holds one, line ends too.
        Byte,
    };
    virtual Broken broken_bytes() const { return Broken::Sequence; }
    // The token as the vocabulary file spells it ("Ġthe", "▁the", "<|im_end|>").
    virtual std::string token(int32_t id) const = 0;
    virtual std::optional<int32_t> token_to_id(std::string_view token) const = 0;
    virtual bool is_special(int32_t id) const = 0;

    virtual std::optional<int32_t> bos_id() const = 0;
    virtual std::optional<int32_t> eos_id() const = 0;
    virtual std::optional<int32_t> pad_id() const = 0;
    // Whether a sequence begins with bos_id() (Llama: yes; Qwen2, GPT-2: no).
    virtual bool adds_bos() const = 0;

    // Writes the files (tokenizer.json, tokenizer_config.json, ...) that transformers opens with
    // identical ids. The directory is made if missing.
    virtual void save(const std::filesystem::path& directory) const = 0;
};

// Reads a model's llm/ directory, or any directory with tokenizer files: tokenizer.json where there
// is one, as transformers does, or else tokenizer.model. Throws when there is neither or when they
// ask for something that would change ids and is not implemented.
std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& directory);
// The same from the files' contents; `where` names their directory in errors.
std::unique_ptr<Tokenizer> make_tokenizer(TokenizerFiles files, const std::string& where);

// Turns ids into text one at a time: a UTF-8 character that is spread over several tokens comes out
// when its last byte has come. The pieces, joined, are decode() of all the ids.
class StreamingDecoder {
  public:
    explicit StreamingDecoder(const Tokenizer& tokenizer, bool skip_special = true);
    // The text that became complete with this id; often empty inside a character.
    std::string push(int32_t id);
    // What is left at the end: U+FFFD for a character that never became whole.
    std::string finish();

  private:
    const Tokenizer& tokenizer_;
    bool skip_special_;
    bool at_start_ = true;  // nothing has come out yet
    std::string held_;      // bytes of a character that is not whole yet
};

}  // namespace vila::data
