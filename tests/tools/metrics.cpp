// Tests answer normalization and VQA accuracy by their published rules, and compares CIDEr-D with a
// reference program.

#include "tools/eval/metrics.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

namespace vila::tools {
namespace {

TEST(ExactMatch, IgnoresCaseEndsAndRunsOfSpace) {
    EXPECT_EQ(normalize_exact("  Top \n LEFT . "), "top left");
    EXPECT_EQ(normalize_exact("U.S."), "u.s");
    EXPECT_EQ(normalize_exact(" .!"), "");
    EXPECT_NE(normalize_exact("red"), normalize_exact("re d"));
}

TEST(VqaNormalization, FollowsTheToolkit) {
    EXPECT_EQ(normalize_vqa("The Two dogs."), "2 dogs");
    EXPECT_EQ(normalize_vqa("none"), "0");
    EXPECT_EQ(normalize_vqa("dont know"), "don't know");
    EXPECT_EQ(normalize_vqa("3.5 m"), "3.5 m");
    EXPECT_EQ(normalize_vqa("1,000"), "1000");         // digit,comma,digit: every mark is deleted
    EXPECT_EQ(normalize_vqa("red/blue"), "red blue");  // a mark between letters becomes a space
    EXPECT_EQ(normalize_vqa("yes, it is"), "yes it is");
    EXPECT_EQ(normalize_vqa("somebody'd"), "somebodyd");  // the toolkit's reversed entry
    EXPECT_EQ(normalize_vqa("a\tcat\n"), "cat");
}

TEST(VqaAccuracy, LeavesOneHumanOut) {
    std::vector<std::string> humans(10, "blue");
    const double expected[] = {0.0, 0.3, 0.6, 0.9, 1.0, 1.0};
    for (size_t agreeing = 0; agreeing <= 5; ++agreeing) {
        for (size_t i = 0; i < 10; ++i) humans[i] = i < agreeing ? "red" : "blue";
        EXPECT_NEAR(vqa_accuracy("Red.", humans), expected[agreeing], 1e-12) << agreeing;
    }
    EXPECT_EQ(vqa_accuracy("Blue", std::vector<std::string>(10, "blue")), 0.0)
        << "unanimous answers are compared as they are";
    EXPECT_EQ(vqa_accuracy("blue", {"blue"}), 1.0);
    EXPECT_EQ(vqa_accuracy("blue", {}), 0.0);
}

TEST(Cider, AgreesWithTheReferenceProgram) {
    std::ifstream file(VILA_SOURCE_DIR "/tests/goldens/metrics.json");
    const auto golden = nlohmann::json::parse(file);
    const auto scores = cider_d(golden["captions"], golden["references"]);
    ASSERT_EQ(scores.size(), golden["cider_d"].size());
    for (size_t i = 0; i < scores.size(); ++i)
        EXPECT_NEAR(scores[i], golden["cider_d"][i].get<double>(), 1e-9) << i;
}

TEST(CaptionTokens, SplitsAsTheTreebankDoes) {
    using Tokens = std::vector<std::string>;
    EXPECT_EQ(caption_tokens("A man doesn't sit."), (Tokens{"a", "man", "does", "n't", "sit"}));
    EXPECT_EQ(caption_tokens("the dog's T-shirt, 1,000 (red)"),
              (Tokens{"the", "dog", "'s", "t-shirt", "1,000", "-lrb-", "red", "-rrb-"}));
    EXPECT_EQ(caption_tokens(""), Tokens{});
}

}  // namespace
}  // namespace vila::tools
