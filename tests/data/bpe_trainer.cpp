#include "data/text/bpe_trainer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/support/text_helpers.h"

namespace vila::data {
namespace {

using nlohmann::json;

std::vector<std::string> corpus() {
    std::ifstream in(VILA_SOURCE_DIR "/tests/goldens/tokenizer_corpus.txt");
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

json saved(const Tokenizer& tokenizer, const char* file) {
    const ScratchFolder scratch;
    tokenizer.save(scratch.path());
    return json::parse(read_file(scratch.path() / file));
}

json golden(const std::string& name) {
    return json::parse(
        read_file(VILA_SOURCE_DIR "/tests/goldens/tokenizer_" + name + "/tokenizer.json"));
}

void expect_same_as_golden(const BpeTraining& training, const std::string& name) {
    const auto tokenizer = train_bpe(corpus(), training);
    const json ours = saved(*tokenizer, "tokenizer.json"), reference = golden(name);
    std::vector<std::string> merges;
    for (const json& pair : reference["model"]["merges"])
        merges.push_back(pair[0].get<std::string>() + " " + pair[1].get<std::string>());
    EXPECT_EQ(ours["model"]["merges"], json(merges)) << name;
    for (const auto& [token, id] : ours["model"]["vocab"].items())
        EXPECT_EQ(id, reference["model"]["vocab"][token]) << name << " " << token;
    EXPECT_EQ(static_cast<int64_t>(ours["model"]["vocab"].size()), training.vocab_size);
    EXPECT_EQ(ours["normalizer"], reference["normalizer"]);
    EXPECT_EQ(ours["pre_tokenizer"], reference["pre_tokenizer"]);
}

TEST(BpeTrainer, MergesEqualHuggingFaceTrainer) {
    expect_same_as_golden(
        {.vocab_size = 700,
         .split = SplitRule::Llama3,
         .special_tokens = {"<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>",
                            "<|end_header_id|>", "<|eot_id|>"},
         .bos = "<|begin_of_text|>",
         .eos = "<|end_of_text|>"},
        "llama3");
    expect_same_as_golden({.vocab_size = 640,
                           .split = SplitRule::Qwen2,
                           .special_tokens = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"},
                           .bos = "",
                           .eos = "<|im_end|>",
                           .pad = "<|endoftext|>",
                           .add_bos = false},
                          "qwen2");
    expect_same_as_golden({.vocab_size = 600, .split = SplitRule::Gpt2}, "gpt2");
}

TEST(BpeTrainer, SpecialTokensMarkSequences) {
    const auto tokenizer = train_bpe(
        corpus(), {.vocab_size = 300, .special_tokens = {"<s>", "</s>", "<pad>"}, .pad = "<pad>"});
    EXPECT_EQ(tokenizer->vocab_size(), 300);
    EXPECT_EQ(tokenizer->bos_id(), 0);
    EXPECT_EQ(tokenizer->eos_id(), 1);
    EXPECT_EQ(tokenizer->pad_id(), 2);
    EXPECT_TRUE(tokenizer->adds_bos());
    EXPECT_TRUE(tokenizer->is_special(2));
    EXPECT_EQ(tokenizer->encode("a</s>b").size(), 6u) << "not looked for in plain text";
    EXPECT_EQ(tokenizer->encode("a</s>b", {.parse_added_tokens = true}).size(), 3u);
}

TEST(BpeTrainer, StopsWhenNoPairIsLeft) {
    const auto tokenizer = train_bpe(std::vector<std::string>{"abab"}, {.vocab_size = 1000});
    EXPECT_EQ(tokenizer->vocab_size(), 2 + 256 + 2);
    EXPECT_EQ(tokenizer->encode("abab").size(), 1u);
    const auto untrained = train_bpe(std::vector<std::string>{}, {.vocab_size = 258});
    EXPECT_EQ(untrained->encode("abc").size(), 3u);
}

TEST(BpeTrainer, SmallerIdsWinTies) {
    // ba, ca and da are equally frequent; then cb wins over db for the same reason.
    const auto tokenizer = train_bpe(std::vector<std::string>{"da ca ba"},
                                     {.vocab_size = 259, .split = SplitRule::Gpt2});
    EXPECT_EQ(tokenizer->token(258), "ba");
}

TEST(BpeTrainer, TrainingIsDeterministic) {
    const BpeTraining training{.vocab_size = 500};
    EXPECT_EQ(saved(*train_bpe(corpus(), training), "tokenizer.json").dump(),
              saved(*train_bpe(corpus(), training), "tokenizer.json").dump());
}

TEST(BpeTrainer, RefusesInvalidOptions) {
    const auto message = [](const BpeTraining& training) {
        return message_of([&] { train_bpe(std::vector<std::string>{"x"}, training); });
    };
    EXPECT_EQ(
        message({.vocab_size = 257}),
        "a vocabulary of 257 tokens: expected at least 258, for 2 special tokens and 256 bytes");
    EXPECT_NE(message({.eos = "<end>"}).find("\"<end>\" is to begin, end or pad"),
              std::string::npos);
    EXPECT_NE(message({.bos = ""}).find("none is named (bos)"), std::string::npos);
    EXPECT_NE(message({.special_tokens = {"<s>", "</s>", "<s>"}}).find("listed twice"),
              std::string::npos);
}

}  // namespace
}  // namespace vila::data
