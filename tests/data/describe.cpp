#include "data/records/describe.h"

#include <gtest/gtest.h>

#include "tests/support/text_helpers.h"

namespace vila::data {
namespace {

TEST(Describe, ASample) {
    const auto tokenizer = byte_tokenizer();
    const ScratchFolder scratch;
    const auto path = scratch.write("a.json",
                                    R"([{"id": "x7", "image": "1.png", "conversations": [
            {"from": "human", "value": "Hi\n<image>"}, {"from": "gpt", "value": "a \"dog\""}]}])");
    const auto dataset = open_dataset({"llava", path, "/images", 6});
    const ChatTemplate chat = ChatTemplate::named("vicuna_v1_nosys");
    Sample sample = dataset->get(0, {*tokenizer, chat});
    count_image_tokens(sample, [](const ImageRef&) { return 9; });
    EXPECT_EQ(describe_sample(sample, *tokenizer),
              "sample x7 (source 0, record 0): 40 positions, 9 targets, 1 images\n"
              "     0 - 10    text    \"<s> USER: Hi \"  0 222 54 52 38 51 27 222 41 74 222\n"
              "    11 - 19    image   /images/1.png\n"
              "    20 - 30    text    \" ASSISTANT:\"  222 34 52 52 42 52 53 34 47 53 27\n"
              "    31 - 39    target  \" a \\\"dog\\\"</s>\"  222 66 222 3 69 80 72 3 1\n");
    Sample archived = sample;
    archived.images[0] = {"a.tar", 512, 99};
    EXPECT_NE(describe_sample(archived, *tokenizer).find("a.tar, 99 bytes at 512\n"),
              std::string::npos);
}

TEST(Describe, Statistics) {
    const auto tokenizer = byte_tokenizer();
    const ChatTemplate chat = ChatTemplate::named("qa");
    const ScratchFolder scratch;
    std::string lines;
    for (int i = 1; i <= 10; ++i)
        lines += "{\"text\": \"" + std::string(static_cast<size_t>(i), 'x') + "\"}\n";
    const auto dataset = open_dataset({"text", scratch.write("a.jsonl", lines + "{}\n"), "", 6});
    const auto image_tokens = [](const ImageRef&) { return 4; };
    const DatasetStatistics all =
        collect_statistics(*dataset, {*tokenizer, chat}, image_tokens, /*max_length=*/10);
    EXPECT_EQ(all.samples, 10);
    EXPECT_EQ(all.text_only, 10);
    EXPECT_EQ(all.truncated, 2);
    EXPECT_EQ(all.text_tokens.total, 72);
    EXPECT_EQ(all.text_tokens.smallest, 3);
    EXPECT_EQ(all.text_tokens.median, 7);
    EXPECT_EQ(all.text_tokens.p90, 10);
    EXPECT_EQ(all.text_tokens.largest, 10);
    EXPECT_EQ(all.text_tokens.mean, 7.2);
    EXPECT_EQ(all.targets.total, 62);
    EXPECT_EQ(all.length.largest, 10);
    EXPECT_EQ(all.images.total, 0);
    ASSERT_EQ(all.errors.size(), 1u);
    const DatasetStatistics some =
        collect_statistics(*dataset, {*tokenizer, chat}, image_tokens, 10, 3);
    EXPECT_EQ(some.samples, 3);
    EXPECT_EQ(some.text_tokens.total, 3 + 6 + 10);
    EXPECT_EQ(some.text_tokens.median, 6);
    EXPECT_EQ(some.text_tokens.p90, 10);
    const std::string text = describe_statistics(all);
    EXPECT_TRUE(text.starts_with(
        "10 samples, 10 of them without images, 2 cut to max_length\n"
        "a sample               total      mean  smallest    median       p90   largest\n"
        "images                     0       0.0         0         0         0         0\n"
        "text tokens               72       7.2         3         7        10        10\n"))
        << text;
    EXPECT_NE(text.find("1 records could not be used:\n  "), std::string::npos);
}

// As in training: an image that cannot be used, and a sample without a target.
TEST(Describe, StatisticsLeaveOutWhatTrainingDrops) {
    const auto tokenizer = byte_tokenizer();
    const ChatTemplate chat = ChatTemplate::named("plain");
    const ScratchFolder scratch;
    const auto path = scratch.write("a.jsonl", R"({"image": "1.png", "caption": "red"}
{"image": "2.png", "caption": "blue"}
)");
    const auto dataset = open_dataset({"pairs", path, "/images", 6});
    const auto image_tokens = [](const ImageRef& image) {
        VILA_CHECK(image.path != "/images/1.png", image.path, " is missing");
        return 4;
    };
    const DatasetStatistics one = collect_statistics(*dataset, {*tokenizer, chat}, image_tokens, 9);
    EXPECT_EQ(one.samples, 1);
    ASSERT_EQ(one.errors.size(), 1u);
    EXPECT_EQ(one.errors[0], path.string() + ":1: /images/1.png is missing");
    const DatasetStatistics none =
        collect_statistics(*dataset, {*tokenizer, chat}, image_tokens, 4);
    EXPECT_EQ(none.samples, 0);
    ASSERT_EQ(none.errors.size(), 2u);
    EXPECT_EQ(none.errors[1], path.string() + ":2: no target within max_length 4");
}

}  // namespace
}  // namespace vila::data
