// Compares with goldens of the Hugging Face tokenizers package, which make_tokenizer_goldens.py
// writes.

#include "data/text/tokenizer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "data/text/bpe_tokenizer.h"
#include "data/text/pretokenizer.h"
#include "tests/support/text_helpers.h"

namespace vila::data {
namespace {

using namespace std::string_literals;
using nlohmann::json;
using Ids = std::vector<int32_t>;

constexpr EncodeOptions kParse{.parse_added_tokens = true};

struct Rule {
    const char* name;
    SplitRule split;
};
constexpr Rule kRules[] = {
    {"llama3", SplitRule::Llama3}, {"qwen2", SplitRule::Qwen2}, {"gpt2", SplitRule::Gpt2}};

std::filesystem::path goldens() {
    return VILA_SOURCE_DIR "/tests/goldens";
}

std::filesystem::path folder(const std::string& name) {
    return goldens() / ("tokenizer_" + name);
}

json cases() {
    return json::parse(read_file(goldens() / "tokenizer_cases.json"));
}

TEST(Pretokenizer, SplitsLikeTheRegularExpressions) {
    const json golden = cases();
    for (const Rule& rule : kRules) {
        for (size_t i = 0; i < golden["texts"].size(); ++i) {
            const std::string text = golden["texts"][i];
            std::vector<int64_t> lengths;
            for (std::string_view rest = text; !rest.empty();) {
                lengths.push_back(next_word(rule.split, rest));
                ASSERT_GT(lengths.back(), 0);
                rest.remove_prefix(lengths.back());
            }
            EXPECT_EQ(json(lengths), golden[rule.name]["words"][i])
                << rule.name << " " << golden["texts"][i];
        }
    }
}

TEST(Tokenizer, IdsEqualTokenizersPackage) {
    const json golden = cases();
    for (const Rule& rule : kRules) {
        const auto tokenizer = load_tokenizer(folder(rule.name));
        for (size_t i = 0; i < golden["texts"].size(); ++i) {
            const std::string text = golden["texts"][i];
            EXPECT_EQ(json(tokenizer->encode(text)), golden[rule.name]["plain"][i])
                << rule.name << " " << golden["texts"][i];
            EXPECT_EQ(json(tokenizer->encode(text, kParse)), golden[rule.name]["parsed"][i])
                << rule.name << " parsed " << golden["texts"][i];
        }
    }
}

// Makes the same changes to tokenizer_gpt2 as make_tokenizer_goldens.py.
json changed_gpt2(const json& variant) {
    json file = json::parse(read_file(folder("gpt2") / "tokenizer.json"));
    json& model = file["model"];
    const auto lacks = [&](const std::string& spelling) {
        for (const std::string symbol : variant["erase"])
            if (spelling.find(symbol) != std::string::npos) return true;
        return false;
    };
    json vocabulary = {{"!!", 600}};
    for (const auto& [spelling, id] : model["vocab"].items())
        if (spelling == "<s>" || spelling == "</s>" || !lacks(spelling)) vocabulary[spelling] = id;
    json merges = json::array();
    for (const json& pair : model["merges"])
        if (!lacks(pair[0].get<std::string>() + pair[1].get<std::string>())) merges.push_back(pair);
    model["vocab"] = vocabulary;
    model["merges"] = merges;
    model.update(variant["model"]);
    file["pre_tokenizer"] = variant["pre_tokenizer"];
    return file;
}

// SmolLM2, StarCoder and DeepSeek have no token for some bytes, and split digits off.
TEST(Tokenizer, BytesWithoutTokenAreDroppedOrUnknown) {
    const json golden = json::parse(read_file(goldens() / "tokenizer_lacking_bytes.json"));
    for (const auto& [name, variant] : golden["variants"].items()) {
        const BpeTokenizer tokenizer({{"tokenizer.json", changed_gpt2(variant).dump()}}, "DIR");
        for (size_t i = 0; i < golden["texts"].size(); ++i)
            EXPECT_EQ(json(tokenizer.encode(golden["texts"][i].get<std::string>(), kParse)),
                      variant["ids"][i])
                << name << " " << golden["texts"][i];
    }
    json nameless = changed_gpt2(golden["variants"]["unknown"]);
    nameless["model"]["unk_token"] = "<unknown>";
    EXPECT_NE(message_of([&] {
                  BpeTokenizer({{"tokenizer.json", nameless.dump()}}, "DIR");
              }).find("no token for the byte 1, nor the unk_token \"<unknown>\""),
              std::string::npos);
}

TEST(Tokenizer, DecodedTextEqualsTokenizersPackage) {
    const json golden = cases();
    for (const Rule& rule : kRules) {
        const auto tokenizer = load_tokenizer(folder(rule.name));
        for (const json& entry : golden["decode"][rule.name]) {
            const Ids ids = entry[0];
            EXPECT_EQ(tokenizer->decode(ids), entry[1].get<std::string>());
            EXPECT_EQ(tokenizer->decode(ids, true), entry[2].get<std::string>());
        }
    }
}

TEST(Tokenizer, AnyBytesRoundTrip) {
    std::mt19937 source(11);
    for (const char* name : {"llama3", "gpt2"}) {
        const auto tokenizer = load_tokenizer(folder(name));
        for (int round = 0; round < 200; ++round) {
            std::string bytes(source() % 60, '\0');
            for (char& byte : bytes)
                byte = static_cast<char>(source() % (round % 2 ? 256 : 8) * (round % 2 ? 1 : 37));
            EXPECT_EQ(tokenizer->decode_bytes(tokenizer->encode(bytes)), bytes);
        }
    }
    const auto composing = load_tokenizer(folder("qwen2"));
    const std::string broken = "caf\xC3 \xF0\x9F\x98 \xFF\xFE\x00 ok"s;
    EXPECT_EQ(composing->decode_bytes(composing->encode(broken)), broken);
}

TEST(Tokenizer, StreamedTextEqualsDecodedText) {
    std::mt19937 source(5);
    for (const Rule& rule : kRules) {
        const auto tokenizer = load_tokenizer(folder(rule.name));
        for (int round = 0; round < 300; ++round) {
            Ids ids(source() % 20);
            const int32_t limit = round % 2 ? 300 : static_cast<int32_t>(tokenizer->vocab_size());
            for (int32_t& id : ids) id = static_cast<int32_t>(source() % limit);
            StreamingDecoder stream(*tokenizer, round % 3 == 0);
            std::string joined;
            for (const int32_t id : ids) joined += stream.push(id);
            joined += stream.finish();
            EXPECT_EQ(joined, tokenizer->decode(ids, round % 3 == 0));
        }
    }
}

TEST(Tokenizer, StreamHoldsBackIncompleteCharacters) {
    const auto tokenizer = load_tokenizer(folder("gpt2"));
    const Ids ids = tokenizer->encode("\U0001F9FF");
    ASSERT_GT(ids.size(), 1u) << "the character is to be spread over several tokens";
    StreamingDecoder stream(*tokenizer);
    for (size_t i = 0; i + 1 < ids.size(); ++i) EXPECT_EQ(stream.push(ids[i]), "");
    EXPECT_EQ(stream.push(ids.back()), "\U0001F9FF");
    EXPECT_EQ(stream.finish(), "");
    EXPECT_EQ(stream.push(ids[0]), "");
    EXPECT_EQ(stream.finish(), "\uFFFD");
}

// The definition of BPE: searches all pairs for each merge.
Ids merged_plainly(const BpeMerges& merges, Ids symbols) {
    while (true) {
        int32_t best_rank = INT32_MAX, best_id = 0;
        size_t best = 0;
        for (size_t i = 0; i + 1 < symbols.size(); ++i) {
            const auto merge = merges.find(symbols[i], symbols[i + 1]);
            if (!merge || merge->rank >= best_rank) continue;
            best_rank = merge->rank;
            best_id = merge->id;
            best = i;
        }
        if (best_rank == INT32_MAX) return symbols;
        symbols[best] = best_id;
        symbols.erase(symbols.begin() + static_cast<int64_t>(best) + 1);
    }
}

TEST(BpeMerges, EqualThePlainAlgorithmAtEveryLength) {
    std::mt19937 source(3);
    BpeMerges merges;
    for (int32_t rank = 0; rank < 60; ++rank) {
        const auto below = static_cast<uint32_t>(3 + rank);
        merges.add(static_cast<int32_t>(source() % below), static_cast<int32_t>(source() % below),
                   {rank, 3 + rank});
    }
    for (size_t length = 0; length < 70; ++length) {
        for (int round = 0; round < 20; ++round) {
            Ids symbols(length);
            for (int32_t& symbol : symbols) symbol = static_cast<int32_t>(source() % 3);
            const Ids expected = merged_plainly(merges, symbols);
            merges.apply(symbols);
            EXPECT_EQ(symbols, expected) << "length " << length;
        }
    }
}

TEST(Tokenizer, WordOfAHundredThousandCharactersRoundTrips) {
    for (const Rule& rule : kRules) {
        const auto tokenizer = load_tokenizer(folder(rule.name));
        for (const std::string& unit :
             {"a"s, " "s, "\n"s, "!"s, "1"s, "\u4e2d"s, "\xFF"s, "ab"s, "\u0301"s, "<"s, "'"s}) {
            std::string text;
            while (text.size() < 100000) text += unit;
            const Ids ids = tokenizer->encode(text, kParse);
            EXPECT_EQ(tokenizer->decode_bytes(ids), text) << rule.name << " " << unit;
        }
    }
}

TEST(Tokenizer, SpecialTokens) {
    const auto llama = load_tokenizer(folder("llama3"));
    EXPECT_EQ(llama->vocab_size(), 701);
    EXPECT_EQ(llama->bos_id(), 0);
    EXPECT_EQ(llama->eos_id(), 1);
    EXPECT_EQ(llama->pad_id(), std::nullopt);
    EXPECT_TRUE(llama->adds_bos());
    EXPECT_EQ(llama->token_to_id("<|eot_id|>"), 4);
    EXPECT_EQ(llama->token(4), "<|eot_id|>");
    EXPECT_TRUE(llama->is_special(4));
    EXPECT_FALSE(llama->is_special(5));
    EXPECT_EQ(llama->token_to_id("no such token"), std::nullopt);
    const auto qwen = load_tokenizer(folder("qwen2"));
    EXPECT_EQ(qwen->vocab_size(), 646) << "added tokens count";
    EXPECT_EQ(qwen->bos_id(), std::nullopt);
    EXPECT_EQ(qwen->eos_id(), 2);
    EXPECT_EQ(qwen->pad_id(), 0);
    EXPECT_FALSE(qwen->adds_bos());
    EXPECT_EQ(qwen->token_bytes(*qwen->token_to_id("caf\u00e9 tok")), "caf\u00e9 tok");
    EXPECT_FALSE(qwen->is_special(*qwen->token_to_id("<mask>")));
}

TEST(Tokenizer, SavesTheFilesItWasLoadedFrom) {
    const ScratchFolder scratch;
    for (const Rule& rule : kRules) {
        const auto target = scratch.path() / rule.name;
        load_tokenizer(folder(rule.name))->save(target);
        for (const char* file : {"tokenizer.json", "tokenizer_config.json"})
            EXPECT_EQ(read_file(target / file), read_file(folder(rule.name) / file));
    }
}

TEST(Tokenizer, ErrorsNameTheExpectation) {
    const auto tokenizer = load_tokenizer(folder("gpt2"));
    EXPECT_EQ(message_of([&] { tokenizer->decode(Ids{600}); }),
              "token id 600 is outside the vocabulary of 600 tokens");
    EXPECT_EQ(message_of([&] { tokenizer->decode(Ids{-200}); }),
              "token id -200 is outside the vocabulary of 600 tokens");
    EXPECT_NE(message_of([] {
                  load_tokenizer("/no/such/place");
              }).find("/no/such/place is not a directory"),
              std::string::npos);
    EXPECT_NE(message_of([] { load_tokenizer(goldens()); })
                  .find(": has no tokenizer.json or tokenizer.model: copy the tokenizer's files "
                        "into it from"),
              std::string::npos);
}

TEST(Tokenizer, FindsAddedTokensInNormalizedTextHoweverTheyAreSpelled) {
    json file = json::parse(read_file(folder("llama3") / "tokenizer.json"));
    file["normalizer"] = {{"type", "NFC"}};
    const int32_t id = file["added_tokens"].back()["id"].get<int32_t>() + 1;
    file["added_tokens"].push_back({{"id", id},
                                    {"content", "e\u0301x"},
                                    {"single_word", false},
                                    {"lstrip", false},
                                    {"rstrip", false},
                                    {"normalized", true},
                                    {"special", false}});
    const BpeTokenizer tokenizer({{"tokenizer.json", file.dump()}}, "DIR");
    for (const char* text : {"e\u0301x", "\u00e9x"})
        EXPECT_EQ(tokenizer.encode(text, {.parse_added_tokens = true}), Ids{id}) << text;
}

// Each change to a valid file, and the words that its error must contain.
TEST(Tokenizer, RefusesSettingsThatWouldChangeIds) {
    const json good = json::parse(read_file(folder("llama3") / "tokenizer.json"));
    struct Change {
        const char* at;
        json value;
        const char* message;
    };
    const Change changes[] = {
        {"/model/type", "Unigram", "a Unigram model: expected BPE"},
        {"/model/byte_fallback", true, "SentencePiece vocabulary"},
        {"/model/end_of_word_suffix", "</w>", "end_of_word_suffix: not supported"},
        {"/model/dropout", 0.1, "sets dropout: ids would be random"},
        {"/post_processor/single/2",
         {{"SpecialToken", {{"id", "<|end_of_text|>"}, {"type_id", 0}}}},
         "puts <|end_of_text|> after each text (post_processor, single)"},
        {"/post_processor/single/1",
         {{"SpecialToken", {{"id", "<|end_of_text|>"}, {"type_id", 0}}}},
         "puts <|end_of_text|> in front of each text too"},
        {"/post_processor", {{"type", "RobertaProcessing"}}, "has post_processor RobertaProcess"},
        {"/normalizer", {{"type", "Lowercase"}}, "normalizer Lowercase: expected NFC or none"},
        {"/pre_tokenizer", nullptr, "expected any of Digits and Split, then ByteLevel"},
        {"/pre_tokenizer/pretokenizers/0/pattern/Regex", "\\w+",
         "expected the pattern of Llama 3, Qwen2 or GPT-2, or a few classes"},
        {"/pre_tokenizer/pretokenizers/0/behavior", "Removed", "expected the pattern of"},
        {"/pre_tokenizer/pretokenizers/1/add_prefix_space", true, "add_prefix_space"},
        {"/model/merges/0", "one two three",
         "field merges: expected two tokens, got \"one two three\""},
        {"/model/merges/0", {"zz", "qq"}, "not all in the vocabulary"},
        {"/model/merges", nullptr, "field merges: expected a list, got null"},
        {"/model/merges", {{"a", "b"}}, "field merges: expected a list, got {"},
        {"/model/unk_token", 3, "DIR/tokenizer.json: field unk_token: expected a string, got 3"},
        {"/model/byte_fallback", 3, "field byte_fallback: expected true or false, got 3"},
        {"/model/vocab", nullptr, "field vocab"},
        {"/added_tokens/0/special", "no", "field special: expected true or false, got \"no\""},
        {"/added_tokens", 5, "field added_tokens: expected a list, got 5"},
        {"/post_processor/single", "A", "field single: expected a list, got \"A\""},
        {"/post_processor/single/1", "A", "expected Sequence or SpecialToken, got \"A\""},
        {"/decoder", 7, "has decoder 7: expected ByteLevel"},
        {"/decoder/type", "Fuse", "\"Fuse\""},
        {"/added_tokens/0/content", std::string(1025, 'x'), "has an added token of 1025 bytes"},
        {"/model/vocab/a", 9000000000, "the id 9000000000"},
        {"/model/vocab/a", "x", "tokenizer.json: "},
        {"/added_tokens/0/id", -3, "the id -3"},
        {"/added_tokens/0/id", 1.5, "the id 1.5"},
    };
    for (const Change& change : changes) {
        json bad = good;
        bad[json::json_pointer(change.at)] = change.value;
        const std::string message = message_of([&] {
            BpeTokenizer({{"tokenizer.json", bad.dump()}}, "DIR");
        });
        EXPECT_NE(message.find(change.message), std::string::npos) << change.at << ": " << message;
        EXPECT_EQ(message.substr(0, 3), "DIR") << message;
    }
    json twice = good;
    twice["added_tokens"][1]["id"] = twice["added_tokens"][0]["id"];
    EXPECT_NE(message_of([&] {
                  BpeTokenizer({{"tokenizer.json", twice.dump()}}, "DIR");
              }).find("have the same id"),
              std::string::npos);
    EXPECT_NE(message_of([&] {
                  BpeTokenizer({{"tokenizer.json", "{"}}, "DIR");
              }).find("DIR/tokenizer.json: not valid JSON"),
              std::string::npos);
    const auto config_message = [&](const char* config) {
        return message_of([&] {
            BpeTokenizer({{"tokenizer.json", good.dump()}, {"tokenizer_config.json", config}},
                         "DIR");
        });
    };
    EXPECT_EQ(config_message(R"({"bos_token": 3})"),
              "DIR/tokenizer_config.json: field bos_token: expected a token, got 3");
    EXPECT_EQ(config_message(R"({"eos_token": {"lstrip": true}})"),
              "DIR/tokenizer_config.json: field eos_token: expected a token, got "
              "{\"lstrip\":true}");
    EXPECT_EQ(config_message(R"({"added_tokens_decoder": []})"),
              "DIR/tokenizer_config.json: field added_tokens_decoder: expected an object, got []");
    json without = good;
    without["decoder"] = nullptr;
    EXPECT_EQ(message_of([&] {
                  BpeTokenizer({{"tokenizer.json", without.dump()}}, "DIR");
              }),
              "no error");
}

// Beside tokenizer.json, add_bos_token and add_eos_token change nothing; what tokenizers puts in
// front of a text is in the post-processor.
TEST(Tokenizer, OnlyThePostProcessorAddsTokens) {
    for (const char* name : {"llama3", "metaspace"}) {
        TokenizerFiles files = read_tokenizer_files(folder(name));
        json config = json::parse(files.at("tokenizer_config.json"));
        config["add_eos_token"] = true;
        for (const bool adds : {true, false}) {
            config["add_bos_token"] = adds;
            files["tokenizer_config.json"] = config.dump();
            EXPECT_TRUE(make_tokenizer(files, "DIR")->adds_bos()) << name;
        }
        json tokenizer = json::parse(files.at("tokenizer.json"));
        tokenizer["post_processor"] = nullptr;
        files["tokenizer.json"] = tokenizer.dump();
        config["add_bos_token"] = true;
        files["tokenizer_config.json"] = config.dump();
        const auto made = make_tokenizer(files, "DIR");
        EXPECT_FALSE(made->adds_bos()) << name;
        EXPECT_TRUE(made->bos_id().has_value()) << name;
    }
}

// transformers would give them new ids, which no model knows.
TEST(Tokenizer, TokensOfASequenceMayBeMissing) {
    for (const char* name : {"llama3", "metaspace", "llama2"}) {
        TokenizerFiles files = read_tokenizer_files(folder(name));
        json config = json::parse(files.at("tokenizer_config.json"));
        config["eos_token"] = "<none>";
        files["tokenizer_config.json"] = config.dump();
        const auto made = make_tokenizer(files, "DIR");
        EXPECT_EQ(made->eos_id(), std::nullopt) << name;
        EXPECT_EQ(made->vocab_size(), load_tokenizer(folder(name))->vocab_size());
    }
    TokenizerFiles files = read_tokenizer_files(folder("llama2"));
    files["tokenizer_config.json"] = R"({"bos_token": "<none>", "add_bos_token": true})";
    EXPECT_EQ(message_of([&] { make_tokenizer(files, "DIR"); }),
              "DIR begins sequences with the token \"<none>\", which its vocabulary does not have");
}

// Directories with many added tokens take time in proportion to their number.
TEST(Tokenizer, ReadsManyAddedTokens) {
    constexpr int kCount = 30000;
    TokenizerFiles files = read_tokenizer_files(folder("gpt2"));
    json tokenizer = json::parse(files.at("tokenizer.json"));
    json listed = json::array(), decoder = json::object();
    for (int i = 0; i < kCount; ++i) {
        listed.push_back({{"id", 1000 + i}, {"content", "<a" + std::to_string(i) + ">"}});
        decoder[std::to_string(1000 + kCount + i)] = {{"content", "<b" + std::to_string(i) + ">"}};
    }
    tokenizer["added_tokens"] = listed;
    files["tokenizer.json"] = tokenizer.dump();
    files["tokenizer_config.json"] = json{{"added_tokens_decoder", decoder}}.dump();
    EXPECT_EQ(make_tokenizer(files, "DIR")->vocab_size(), 1000 + 2 * kCount);
}

// LLaVA and Vicuna name a token for padding that their vocabularies lack.
TEST(Tokenizer, PaddingMayBeMissing) {
    for (const json& pad : {json("[PAD]"), json{{"content", "<pad>"}, {"special", true}}})
        for (const char* name : {"gpt2", "llama2"}) {
            TokenizerFiles files = read_tokenizer_files(folder(name));
            json config = json::parse(files.at("tokenizer_config.json"));
            config["pad_token"] = pad;
            files["tokenizer_config.json"] = config.dump();
            const auto tokenizer = make_tokenizer(files, "DIR");
            EXPECT_EQ(tokenizer->pad_id(), std::nullopt);
            EXPECT_EQ(tokenizer->vocab_size(), load_tokenizer(folder(name))->vocab_size());
        }
}

TEST(Tokenizer, ReadsMergesAsPairsAndAsText) {
    json file = json::parse(read_file(folder("gpt2") / "tokenizer.json"));
    for (json& merge : file["model"]["merges"])
        merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
    const BpeTokenizer spelled({{"tokenizer.json", file.dump()}}, "DIR");
    const auto tokenizer = load_tokenizer(folder("gpt2"));
    const std::string text = "A small red circle, and three   spaces.";
    EXPECT_EQ(spelled.encode(text, {}), tokenizer->encode(text));
}

}  // namespace
}  // namespace vila::data
