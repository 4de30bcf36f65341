#pragma once

// Reads the parts that all kinds of tokenizer.json and all configuration files of tokenizers have
// in common. The functions throw vila::Error or Json::exception; callers convert the latter to the
// former and add the file's name.

#include <string>
#include <utility>
#include <vector>

#include "data/text/added_tokens.h"
#include "data/text/tokenizer.h"
#include "tensor/json_fields.h"

namespace vila::data {

// Parses a file; an empty object if there is no such file. Throws one line that names the file if
// it is not JSON.
Json parse_json_file(const TokenizerFiles& files, const char* name, const std::string& where);
// Reads tokenizer_config.json, with the special tokens of special_tokens_map.json. Throws if
// add_eos_token is set and there is no tokenizer.json, beside which transformers ignores it.
Json read_tokenizer_config(const TokenizerFiles& files, const std::string& where);

// The fields of a part of tokenizer.json, which is in the folder `where`.
JsonFields tokenizer_fields(const Json& part, const std::string& where);

// Returns part["type"], "?" if there is none.
std::string type_of(const Json& part);
// Returns the members of a Sequence, or the part itself; none for null.
std::vector<Json> parts_of(const Json& part, const char* list);

// Checks that a model is BPE and has no setting that is not implemented.
void check_bpe_settings(const Json& model, const std::string& where);

// Returns a token's id. Throws if it is not an integer, is negative or exceeds 32 bits.
int32_t read_id(const Json& value, const std::string& where);
// Reads model["vocab"]; the index is the id, an empty string means no token.
std::vector<std::string> read_vocabulary(const Json& model, const std::string& where);
// Reads model["merges"], written as "a b" or ["a", "b"].
std::vector<std::pair<std::string, std::string>> read_merges(const Json& model,
                                                             const std::string& where);

AddedToken read_added_token(const JsonFields& entry, int32_t id);
// Reads config["added_tokens_decoder"].
std::vector<AddedToken> read_added_tokens_decoder(const Json& config, const std::string& where);
// Reads tokenizer["added_tokens"], and the tokens of config["added_tokens_decoder"] that are not
// among them.
std::vector<AddedToken> read_added_tokens(const Json& tokenizer, const Json& config,
                                          const std::string& where);

// Throws if an added token is long, or if its id is negative or far above a vocabulary of this
// size.
void check_added_token(const AddedToken& token, int64_t vocabulary, const std::string& where);

// Reads config[key], written as "<s>" or {"content": "<s>", ...}; empty if there is none. Throws if
// it is neither.
std::string token_named(const Json& config, const char* key, const std::string& where);

// The tokens that mark a sequence; empty for none.
struct SequenceTokens {
    std::string bos, eos, pad;
    bool adds_bos = false;  // a sequence begins with `bos`
};
// Returns the tokens that the files put around a sequence. As in transformers, only the
// post-processor of tokenizer.json adds one, whatever add_bos_token says. Throws if one is put
// anywhere but in front.
SequenceTokens read_sequence_tokens(const Json& tokenizer, const Json& config,
                                    const std::string& where);

}  // namespace vila::data
