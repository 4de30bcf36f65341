// Streamed answers consist of whole characters and contain nothing of a stop string.

#include "tools/run/answer_stream.h"

#include <gtest/gtest.h>

#include "tests/support/text_helpers.h"

namespace vila::tools {
namespace {

struct Streamed {
    std::vector<std::string> pieces;
    std::string text;
    size_t used = 0;  // tokens pushed until it stopped
};

// Pushes the bytes of `text` as one token each.
Streamed stream(const std::string& text, const std::vector<std::string>& stops) {
    const auto tokenizer = data::byte_tokenizer();
    Streamed result;
    AnswerStream answer(*tokenizer, stops,
                        [&](const std::string& piece) { result.pieces.push_back(piece); });
    for (const int32_t id : tokenizer->encode(text)) {
        ++result.used;
        if (!answer.push(id)) break;
    }
    answer.finish();
    result.text = answer.text();
    return result;
}

TEST(AnswerStream, EmitsWholeCharactersAtOnce) {
    const Streamed got = stream("a\xC3\xA9!", {});
    EXPECT_EQ(got.pieces, (std::vector<std::string>{"a", "\xC3\xA9", "!"}));
}

TEST(AnswerStream, EndsBeforeAStopString) {
    const Streamed got = stream("red ### blue", {"###"});
    EXPECT_EQ(got.text, "red ");
    EXPECT_EQ(got.used, 7U);
    EXPECT_EQ(stream("one two", {"two", "e t"}).text, "on");
    EXPECT_EQ(stream("xxa", {"xxa", "xa"}).text, "");
}

TEST(AnswerStream, EmitsTextThatOnlyLookedLikeAStop) {
    const Streamed got = stream("a#b##", {"###"});
    EXPECT_EQ(got.text, "a#b##");
    EXPECT_EQ(got.pieces, (std::vector<std::string>{"a", "#b", "##"}));
    EXPECT_EQ(stream("aab", {"aac"}).text, "aab");
    EXPECT_EQ(stream("aaab", {"aab"}).text, "a");
}

TEST(AnswerStream, IdsBeyondTheVocabularyDecodeToNothing) {
    const auto tokenizer = data::byte_tokenizer();
    std::string text;
    AnswerStream answer(*tokenizer, {}, [&](const std::string& piece) { text += piece; });
    const auto beyond = static_cast<int32_t>(tokenizer->vocab_size());
    for (const int32_t id : {tokenizer->encode("a")[0], beyond, 151935, tokenizer->encode("b")[0]})
        EXPECT_TRUE(answer.push(id));
    answer.finish();
    EXPECT_EQ(text, "ab");
}

TEST(AnswerStream, CutsWholeAnswersAsItStreamsThem) {
    EXPECT_EQ(before_stops("red ### blue", {"###"}), "red ");
    EXPECT_EQ(before_stops("one two", {"two", "e t"}), "on");
    EXPECT_EQ(before_stops("one two", {"three"}), "one two");
    EXPECT_EQ(before_stops("one two", {}), "one two");
}

TEST(AnswerStream, RefusesAnEmptyStop) {
    EXPECT_THROW(stream("a", {""}), UsageError);
}

}  // namespace
}  // namespace vila::tools
