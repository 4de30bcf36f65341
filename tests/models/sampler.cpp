#include "models/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <vector>

#include "tensor/check.h"
#include "tensor/token_ids.h"

namespace vila::models {
namespace {

constexpr int kDraws = 20000;

// Returns the share of each token over many steps.
std::map<int32_t, double> shares(const std::vector<float>& logits, const SamplerOptions& options) {
    std::map<int32_t, double> result;
    for (int step = 0; step < kDraws; ++step)
        result[sample_token(logits, options, step)] += 1.0 / kDraws;
    return result;
}

TEST(Sampler, GreedyPicksTheLowestIdOfEqualLogits) {
    EXPECT_EQ(sample_token(std::vector<float>{1, 3, 3, 2}, {}, 0), 1);
    EXPECT_EQ(sample_token(std::vector<float>{0, 0}, {}, 0), 0);
    EXPECT_EQ(sample_token(std::vector<float>{-5}, {}, 9), 0);
}

TEST(Sampler, RefusesLogitsThatAreNotNumbers) {
    for (const double temperature : {0.0, 1.0})
        EXPECT_THROW(sample_token(std::vector<float>{1, NAN}, {.temperature = temperature}, 0),
                     Error);
}

TEST(Sampler, FollowsTheDistribution) {
    const std::vector<float> logits = {0.0f, std::log(2.0f), std::log(5.0f)};
    auto found = shares(logits, {.temperature = 1.0, .seed = 3});
    EXPECT_NEAR(found[0], 0.125, 0.01);
    EXPECT_NEAR(found[1], 0.25, 0.01);
    EXPECT_NEAR(found[2], 0.625, 0.01);
    found = shares(logits, {.temperature = 0.5, .seed = 3});
    EXPECT_NEAR(found[0], 1.0 / 30, 0.01);
    EXPECT_NEAR(found[2], 25.0 / 30, 0.01);
}

TEST(Sampler, TopKAndTopPKeepTheMostProbable) {
    const std::vector<float> logits = {0.0f, std::log(5.0f), std::log(2.0f), 0.0f};
    auto found = shares(logits, {.temperature = 1.0, .top_k = 2});
    EXPECT_EQ(found.size(), 2U);
    EXPECT_NEAR(found[1], 5.0 / 7, 0.01);
    // 5/9 is less than 0.6; 5/9 + 2/9 is more.
    found = shares(logits, {.temperature = 1.0, .top_p = 0.6});
    EXPECT_EQ(found.size(), 2U);
    EXPECT_NEAR(found[1], 5.0 / 7, 0.01);
    found = shares(logits, {.temperature = 1.0, .top_p = 0.5});
    EXPECT_EQ(found.size(), 1U);
    // The lowest of equal ids is kept.
    found = shares({0.0f, 0.0f, 0.0f}, {.temperature = 1.0, .top_k = 1});
    EXPECT_EQ(found.begin()->first, 0);
    EXPECT_EQ(found.size(), 1U);
}

TEST(Sampler, DependsOnSeedAndStepOnly) {
    const std::vector<float> logits(100, 0.0f);
    const SamplerOptions options = {.temperature = 1.0, .seed = 11};
    std::map<int32_t, int> seen;
    for (int step = 0; step < 50; ++step) {
        const int32_t token = sample_token(logits, options, step);
        EXPECT_EQ(sample_token(logits, options, step), token);
        ++seen[token];
    }
    EXPECT_GT(seen.size(), 30U);
    int differences = 0;
    for (int step = 0; step < 50; ++step)
        differences += sample_token(logits, options, step) !=
                       sample_token(logits, {.temperature = 1.0, .seed = 12}, step);
    EXPECT_GT(differences, 30);
}

TEST(Sampler, RefusesOptionsOutOfRange) {
    const std::vector<float> logits = {0.0f};
    EXPECT_THROW(sample_token({}, {}, 0), Error);
    EXPECT_THROW(sample_token(logits, {.temperature = -1.0}, 0), Error);
    EXPECT_THROW(sample_token(logits, {.top_k = -1}, 0), Error);
    EXPECT_THROW(sample_token(logits, {.top_p = 0.0}, 0), Error);
    std::vector<float> adjusted = {0.0f};
    EXPECT_THROW(adjust_logits(adjusted, {.repetition_penalty = 0.0}, {}, {}, 0), Error);
    EXPECT_THROW(adjust_logits(adjusted, {.min_tokens = -1}, {}, {}, 0), Error);
}

TEST(Sampler, RepetitionPenaltyMatchesHuggingFace) {
    // RepetitionPenaltyLogitsProcessor(1.3) of transformers on ids [1, 3, 3]; the image is ignored.
    std::vector<float> logits = {1.0f, 2.6f, -1.0f, -2.0f};
    const std::vector<int32_t> context = {1, 3, kImageToken, 3};
    adjust_logits(logits, {.repetition_penalty = 1.3}, context, {}, 0);
    EXPECT_FLOAT_EQ(logits[0], 1.0f);
    EXPECT_FLOAT_EQ(logits[1], 2.0f);
    EXPECT_FLOAT_EQ(logits[2], -1.0f);
    EXPECT_FLOAT_EQ(logits[3], -2.6f);
}

TEST(Sampler, MinTokensExcludesStopIds) {
    const SamplerOptions options = {.min_tokens = 2};
    const std::vector<int32_t> stops = {1, 99};
    for (const int64_t step : {0, 1, 2}) {
        std::vector<float> logits = {0.0f, 5.0f, 1.0f};
        adjust_logits(logits, options, {}, stops, step);
        EXPECT_EQ(sample_token(logits, options, step), step < 2 ? 2 : 1);
    }
    std::vector<float> only = {0.0f};
    EXPECT_THROW(adjust_logits(only, options, {}, std::vector<int32_t>{0}, 0), Error);
}

}  // namespace
}  // namespace vila::models
