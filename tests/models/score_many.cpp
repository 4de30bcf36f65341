// Scored sequences, compared with the logits of a forward pass without a cache.

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "models/generate.h"
#include "tensor/cpu/cpu_device.h"
#include "tensor/random.h"

namespace vila::models {
namespace {

constexpr int64_t kVocabulary = 61;

// A sequence that owns its ids and labels.
struct Scored {
    std::vector<int32_t> ids, labels;
    std::vector<HostImage> images;

    Sequence get() const { return {ids, labels, images}; }
};

class ScoreManyTest : public ::testing::Test {
  protected:
    ScoreManyTest() : device_(make_cpu_device(2)) {
        LlamaConfig& llm = config_.llm;
        llm.vocab_size = kVocabulary;
        llm.hidden_size = 24;
        llm.intermediate_size = 40;
        llm.num_hidden_layers = 2;
        llm.num_attention_heads = 4;
        llm.num_key_value_heads = 2;
        llm.head_dim = 8;
        llm.max_position_embeddings = 768;
        llm.init.embedding = 0.5;  // so that the context decides over the next token
        llm.init.linear = {nn::InitRule::Kind::Normal, 0.3};
        VisionConfig& vision = config_.vision.emplace();
        vision.hidden_size = 12;
        vision.intermediate_size = 20;
        vision.num_hidden_layers = 1;
        vision.num_attention_heads = 2;
        vision.image_size = 28;
        vision.patch_size = 14;
        config_.select_layer = -1;
        config_.projector.kind = ProjectorConfig::Kind::Linear;
        for (uint64_t i = 0; i < 3 * 28 * 28; ++i)
            pixels_.push_back(static_cast<float>(random_normal(7, i)));
        use(DType::F32);
    }

    void use(DType dtype) {
        model_ = std::make_unique<VilaModel>(config_, *device_, dtype);
        model_->initialize(1);
    }

    // `length` random ids, the last `targets` of them labeled; an image at `image_at`, if >= 0.
    Scored sequence(uint64_t seed, int64_t length, int64_t targets, int64_t image_at = -1) const {
        Scored made;
        for (int64_t i = 0; i < length; ++i) {
            const bool is_image = i == image_at;
            made.ids.push_back(
                is_image ? kImageToken
                         : static_cast<int32_t>(random_below(seed, uint64_t(i), kVocabulary)));
            made.labels.push_back(i + targets >= length ? made.ids.back() : kIgnoreLabel);
        }
        if (image_at >= 0) made.images.push_back({{3, 28, 28}, pixels_, 4, 100});
        return made;
    }

    // The log probabilities by a forward pass over the sequence alone.
    ScoredSequence expected(const Scored& scored) const {
        const Batch batch = make_batch(*device_, {scored.get()});
        const Tensor logits = model_->logits(batch);
        const auto row = [&](int64_t i) { return logits.slice(0, i, i + 1).to_vector<float>(); };
        ScoredSequence result;
        const auto rows = batch.loss_rows.to_vector<int32_t>();
        const auto targets = batch.targets.to_vector<int32_t>();
        for (size_t m = 0; m < rows.size(); ++m) {
            const auto values = row(rows[m]);
            double sum = 0.0;
            for (const float value : values) sum += std::exp(double{value});
            result.target_logprobs.push_back(values[static_cast<size_t>(targets[m])] -
                                             std::log(sum));
        }
        result.next_logits = row(logits.size(0) - 1);
        return result;
    }

    void expect_scores(const std::vector<Scored>& sequences) const {
        std::vector<Sequence> views;
        for (const Scored& scored : sequences) views.push_back(scored.get());
        const auto results = score_many(*model_, views);
        ASSERT_EQ(results.size(), sequences.size());
        for (size_t i = 0; i < results.size(); ++i) {
            const ScoredSequence right = expected(sequences[i]);
            ASSERT_EQ(results[i].target_logprobs.size(), right.target_logprobs.size()) << i;
            for (size_t m = 0; m < right.target_logprobs.size(); ++m)
                EXPECT_NEAR(results[i].target_logprobs[m], right.target_logprobs[m], 1e-12)
                    << "sequence " << i << ", target " << m;
            EXPECT_EQ(results[i].next_logits, right.next_logits) << i;
        }
    }

    std::unique_ptr<Device> device_;
    VilaConfig config_;
    std::vector<float> pixels_;
    std::unique_ptr<VilaModel> model_;
};

TEST_F(ScoreManyTest, AgreesWithAForwardPass) {
    for (const DType dtype : {DType::F32, DType::BF16}) {
        use(dtype);
        expect_scores({sequence(1, 9, 3), sequence(2, 70, 1, 5), sequence(3, 40, 39),
                       sequence(4, 600, 130, 300), sequence(5, 30, 0, 29)});
    }
}

// Targets may lie in a beginning that is shared: their rows are then read again.
TEST_F(ScoreManyTest, SharesBeginnings) {
    const Scored first = sequence(1, 300, 2, 3);
    Scored other_end = first, more_targets = first, shorter = first;
    other_end.ids.back() = other_end.labels.back() = (first.ids.back() + 1) % kVocabulary;
    for (size_t i = 100; i < 300; ++i) more_targets.labels[i] = more_targets.ids[i];
    shorter.ids.resize(200);
    shorter.labels.resize(200);
    shorter.labels[150] = shorter.ids[150];
    expect_scores({first, other_end, more_targets, shorter});
}

// Scored and decoded sequences run in the same steps.
TEST_F(ScoreManyTest, RunsBesideDecodedSequences) {
    const Scored scored = sequence(1, 200, 9), prompt = sequence(2, 50, 0, 7);
    GenerateOptions options;
    options.max_tokens = 12;
    const auto alone = generate(*model_, prompt.get(), options);
    DecodeBatch batch(*model_, {.pages = 8, .prefill_rows = 64});
    const int64_t decoded_id = batch.add(prompt.get(), {.max_tokens = 12});
    batch.step();
    const int64_t scored_id = batch.add_scored(scored.get());
    std::map<int64_t, Answer> answers;
    while (!batch.idle())
        for (Answer& answer : batch.step()) answers[answer.id] = std::move(answer);
    EXPECT_EQ(answers.at(decoded_id).tokens, alone);
    EXPECT_TRUE(answers.at(decoded_id).target_logprobs.empty());
    const Answer& read = answers.at(scored_id);
    EXPECT_EQ(read.ending, Ending::Scored);
    EXPECT_TRUE(read.tokens.empty());
    const ScoredSequence right = expected(scored);
    ASSERT_EQ(read.target_logprobs.size(), 9u);
    for (size_t m = 0; m < 9; ++m)
        EXPECT_NEAR(read.target_logprobs[m], right.target_logprobs[m], 1e-12);
    EXPECT_EQ(read.next_logits, right.next_logits);
    EXPECT_EQ(batch.stats().pages.used, 0);
}

TEST_F(ScoreManyTest, RefusesATargetWithoutARowBeforeIt) {
    Scored scored = sequence(1, 5, 5);
    EXPECT_THROW(score_many(*model_, {scored.get()}), Error);
    scored.labels.pop_back();
    EXPECT_THROW(score_many(*model_, {scored.get()}), Error);
}

TEST_F(ScoreManyTest, RefusesTargetsOutsideTheVocabulary) {
    for (const int32_t label : {static_cast<int32_t>(kVocabulary), -1, kImageToken}) {
        Scored scored = sequence(1, 5, 2);
        scored.labels[4] = label;
        EXPECT_THROW(score_many(*model_, {scored.get()}), Error) << label;
    }
}

}  // namespace
}  // namespace vila::models
