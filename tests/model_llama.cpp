// The language model against transformers (tests/goldens/make_model_goldens.py).

#include <algorithm>

#include "models/generate.h"
#include "tests/model_goldens.h"

namespace vila::models {
namespace {

class LlamaTest : public ModelTest {
  protected:
    LlamaTest() : model(load_model(model_goldens() / "llama", *device, DType::F32)) {
        ids = golden("llama", "ids").to_vector<int32_t>();
    }

    Tensor logits_of(const std::vector<std::vector<int32_t>>& sequences) {
        std::vector<Sequence> views;
        for (const std::vector<int32_t>& one : sequences) views.push_back({one, {}, {}});
        return model->logits(make_batch(*device, views, 0));
    }

    std::unique_ptr<VilaModel> model;
    std::vector<int32_t> ids;
};

TEST_F(LlamaTest, LogitsAreThoseOfTransformers) {
    EXPECT_FALSE(model->has_vision());
    EXPECT_LT(relative_error(logits_of({ids}), golden("llama", "logits")), kFloatTolerance);
}

TEST_F(LlamaTest, Bf16StaysNear) {
    const auto rounded = load_model(model_goldens() / "llama", *device, DType::BF16);
    const Tensor logits = rounded->logits(make_batch(*device, {{ids, {}, {}}}, 0));
    EXPECT_EQ(logits.dtype(), DType::BF16);
    // 8 bits of mantissa through two layers.
    EXPECT_LT(relative_error(logits, golden("llama", "logits")), 5e-2);
}

TEST_F(LlamaTest, PackedSequencesDoNotSeeEachOther) {
    const std::vector<int32_t> first(ids.begin(), ids.begin() + 7);
    const std::vector<int32_t> second(ids.begin() + 7, ids.begin() + 20);
    std::vector<int32_t> other = first;
    std::reverse(other.begin(), other.end());

    const std::vector<float> alone = logits_of({second}).to_vector<float>();
    const Tensor packed = logits_of({first, second, {5}});
    EXPECT_EQ(packed.slice(0, 7, 20).to_vector<float>(), alone) << "packing changed bits";
    const Tensor changed = logits_of({other, second, {9}});
    EXPECT_EQ(changed.slice(0, 7, 20).to_vector<float>(), alone) << "a neighbour changed bits";
}

TEST_F(LlamaTest, DecodingEqualsTheFullForward) {
    const Llama& llm = model->llm();
    KvCache cache(llm.config(), *device, DType::F32, 37);
    std::vector<double> decoded;
    // Prefill of 5, then chunks of one and more.
    size_t begin = 0;
    for (const size_t rows : {5, 1, 1, 3, 1, 26}) {
        const std::vector<int32_t> part(ids.begin() + begin, ids.begin() + begin + rows);
        const Tensor tokens = Tensor::from_values(*device, {static_cast<int64_t>(rows)}, part);
        const std::vector<int64_t> counts = {static_cast<int64_t>(rows)};
        const std::vector<KvCache*> caches = {&cache};
        const Tensor hidden = llm.decode(llm.embed(tokens).value(), counts, caches);
        const auto logits = llm.logits(autograd::Variable(hidden)).value().to_vector<double>();
        decoded.insert(decoded.end(), logits.begin(), logits.end());
        begin += rows;
    }
    EXPECT_EQ(cache.length(), 37);
    EXPECT_LT(relative_error(decoded, golden("llama", "logits").to_vector<double>()),
              kFloatTolerance);
}

TEST_F(LlamaTest, GreedyContinuationIsThatOfTransformers) {
    const std::vector<int32_t> expected = golden("llama", "greedy").to_vector<int32_t>();
    std::vector<int32_t> streamed;
    GenerateOptions options;
    options.max_tokens = 64;
    options.on_token = [&](int32_t id) {
        streamed.push_back(id);
        return true;
    };
    const std::vector<int32_t> prompt(ids.begin(), ids.begin() + 5);
    EXPECT_EQ(generate(*model, {prompt, {}, {}}, options), expected);
    EXPECT_EQ(streamed, expected);
}

TEST_F(LlamaTest, GenerationStops) {
    const std::vector<int32_t> expected = golden("llama", "greedy").to_vector<int32_t>();
    const std::vector<int32_t> prompt(ids.begin(), ids.begin() + 5);
    GenerateOptions options;
    options.max_tokens = 64;
    options.stop_ids = {expected[4]};
    const auto stop = std::find(expected.begin(), expected.end(), expected[4]);
    EXPECT_EQ(generate(*model, {prompt, {}, {}}, options),
              std::vector<int32_t>(expected.begin(), stop));
    options.stop_ids.clear();
    options.on_token = [](int32_t) { return false; };
    EXPECT_EQ(generate(*model, {prompt, {}, {}}, options),
              std::vector<int32_t>(expected.begin(), expected.begin() + 1));
    options.on_token = nullptr;
    options.max_tokens = 1000;  // beyond the model's 128 positions
    EXPECT_EQ(generate(*model, {prompt, {}, {}}, options).size(), 128 - 5 + 1);
    options.max_tokens = 0;
    EXPECT_TRUE(generate(*model, {prompt, {}, {}}, options).empty());
}

TEST_F(LlamaTest, ManyPromptsAtOnceGiveWhatEachGivesAlone) {
    GenerateOptions options;
    options.max_tokens = 20;
    options.stop_ids = {7, 11};
    std::vector<std::vector<int32_t>> prompts;
    for (size_t length = 1; length < 12; length += 2)
        prompts.emplace_back(ids.begin() + length, ids.begin() + 2 * length);
    std::vector<Sequence> sequences;
    std::vector<std::vector<int32_t>> alone;
    for (const auto& prompt : prompts) {
        sequences.push_back({prompt, {}, {}});
        alone.push_back(generate(*model, sequences.back(), options));
    }
    EXPECT_EQ(generate_many(*model, sequences, options), alone);
}

TEST_F(LlamaTest, TooManyPositionsAreRefused) {
    const std::vector<int32_t> long_ids(129, 5);
    EXPECT_THROW(logits_of({long_ids}), Error);
    EXPECT_THROW(generate(*model, {long_ids, {}, {}}, {}), Error);
    EXPECT_NO_THROW(logits_of({std::vector<int32_t>(128, 5)}));
}

TEST_F(ModelTest, RopeFrequenciesAreThoseOfTransformers) {
    RopeConfig rope;
    EXPECT_LT(relative_error(rope.frequencies(128), golden("rope", "default").to_vector<double>()),
              1e-6);
    rope.kind = RopeConfig::Kind::Linear;
    rope.factor = 4.0;
    EXPECT_LT(relative_error(rope.frequencies(128), golden("rope", "linear").to_vector<double>()),
              1e-6);
    rope = {.kind = RopeConfig::Kind::Llama3, .theta = 500000.0, .factor = 8.0};
    const std::vector<double> expected = golden("rope", "llama3").to_vector<double>();
    const std::vector<double> actual = rope.frequencies(128);
    ASSERT_EQ(actual.size(), expected.size());
    // The small ones matter as much as the large ones.
    for (size_t j = 0; j < actual.size(); ++j) EXPECT_NEAR(actual[j] / expected[j], 1.0, 1e-5) << j;
}

}  // namespace
}  // namespace vila::models
