#pragma once

// What all kinds of tokenizer.json, and the configuration files beside any tokenizer, have in
// common. Everything here throws vila::Error or Json::exception; who calls turns the
// second into the first, with the file's name.

#include <string>
#include <utility>
#include <vector>

#include "data/text/added_tokens.h"
#include "data/text/tokenizer.h"
#include "tensor/json.h"

namespace vila::data {

// An empty object when there is no such file. Throws one line that names it when it is not JSON.
Json parse_json_file(const TokenizerFiles& files, const char* name, const std::string& where);
// tokenizer_config.json, with the special tokens that special_tokens_map.json names.
Json read_tokenizer_config(const TokenizerFiles& files, const std::string& where);

// part["type"], "?" if there is none.
std::string type_of(const Json& part);
// The members of a Sequence, or the part itself; none for null.
std::vector<Json> parts_of(const Json& part, const char* list);

// A token's id; throws when it is no integer, negative or beyond what 32 bits hold.
int32_t read_id(const Json& value, const std::string& where);
// model["vocab"]; index is the id, empty where there is no token.
std::vector<std::string> read_vocabulary(const Json& model, const std::string& where);
// model["merges"], as "a b" or ["a", "b"].
std::vector<std::pair<std::string, std::string>> read_merges(const Json& model,
                                                             const std::string& where);

AddedToken read_added_token(const Json& entry, int32_t id);
// config["added_tokens_decoder"].
std::vector<AddedToken> read_added_tokens_decoder(const Json& config, const std::string& where);
// tokenizer["added_tokens"] and those of config["added_tokens_decoder"] that are not among them.
std::vector<AddedToken> read_added_tokens(const Json& tokenizer, const Json& config,
                                          const std::string& where);

// Throws when the id of an added token is negative or far beyond a vocabulary of this size.
void check_added_token(const AddedToken& token, int64_t vocabulary, const std::string& where);

// config[key]: "<s>" or {"content": "<s>", ...}; empty if there is none.
std::string token_named(const Json& config, const char* key);

// Which tokens play a part in a sequence; empty: none does.
struct SequenceTokens {
    std::string bos, eos, pad;
    bool adds_bos = false;  // a sequence begins with `bos`
};
SequenceTokens read_sequence_tokens(const Json& tokenizer, const Json& config);

}  // namespace vila::data
