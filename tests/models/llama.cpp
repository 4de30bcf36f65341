// Compares the language model with transformers (tests/goldens/make_model_goldens.py).

#include <algorithm>

#include "models/generate.h"
#include "tests/support/model_goldens.h"

namespace vila::models {
namespace {

class LlamaTest : public ModelTest {
  protected:
    LlamaTest() : model(ModelDirectory(model_goldens() / "llama").load(*device, DType::F32)) {
        ids = golden("llama", "ids").to_vector<int32_t>();
    }

    Tensor logits_of(const std::vector<std::vector<int32_t>>& sequences) {
        std::vector<Sequence> views;
        for (const std::vector<int32_t>& one : sequences) views.push_back({one, {}, {}});
        return model->logits(make_batch(*device, views));
    }

    std::unique_ptr<VilaModel> model;
    std::vector<int32_t> ids;
};

TEST_F(LlamaTest, LogitsMatchTransformers) {
    EXPECT_FALSE(model->has_vision());
    EXPECT_LT(relative_error(logits_of({ids}), golden("llama", "logits")), kFloatTolerance);
}

TEST_F(LlamaTest, Bf16IsCloseToF32) {
    const auto rounded = ModelDirectory(model_goldens() / "llama").load(*device, DType::BF16);
    const Tensor logits = rounded->logits(make_batch(*device, {{ids, {}, {}}}));
    EXPECT_EQ(logits.dtype(), DType::BF16);
    // The tolerance allows for 8 bits of mantissa through two layers.
    EXPECT_LT(relative_error(logits, golden("llama", "logits")), 5e-2);
}

// Bit for bit, for sequences of several lengths: a row depends on its neighbors in no kernel.
TEST_F(LlamaTest, PackedSequencesAreIndependent) {
    for (const DType dtype : {DType::F32, DType::BF16}) {
        model = ModelDirectory(model_goldens() / "llama").load(*device, dtype);
        std::vector<std::vector<int32_t>> sequences;
        auto next = ids.begin();
        for (const int length : {1, 2, 3, 5, 17}) {
            sequences.emplace_back(next, next + length);
            next += length;
        }
        const auto rows = [](const Tensor& logits, int64_t begin, int64_t end) {
            return logits.slice(0, begin, end).to(DType::F32).to_vector<float>();
        };
        const Tensor packed = logits_of(sequences);
        for (size_t changed = 0; changed < sequences.size(); ++changed) {
            auto others = sequences;
            for (int32_t& id : others[changed]) id = (id + 1) % 50;
            const Tensor neighbors = logits_of(others);
            int64_t begin = 0;
            for (size_t i = 0; i < sequences.size(); ++i) {
                const auto end = begin + static_cast<int64_t>(sequences[i].size());
                const std::vector<float> expected = rows(packed, begin, end);
                EXPECT_EQ(rows(logits_of({sequences[i]}), 0, end - begin), expected)
                    << dtype << ": packing changed bits of sequence " << i;
                if (i == changed) {
                    EXPECT_NE(rows(neighbors, begin, end), expected);
                } else {
                    EXPECT_EQ(rows(neighbors, begin, end), expected)
                        << dtype << ": sequence " << changed << " changed bits of " << i;
                }
                begin = end;
            }
        }
    }
}

// Returns the logits of ids that are read in parts, with earlier parts in the cache.
std::vector<double> decoded_logits(const VilaModel& model, const std::vector<int32_t>& ids,
                                   const std::vector<int64_t>& parts, DType dtype) {
    const Llama& llm = model.llm();
    CachedSequence sequence = sequence_on_first_pages(static_cast<int64_t>(ids.size()));
    const KvCache cache(llm.config(), model.device(), dtype,
                        static_cast<int64_t>(sequence.pages.size()));
    const CachedSequence* const sequences[] = {&sequence};
    std::vector<double> result;
    auto next = ids.begin();
    for (const int64_t rows : parts) {
        const std::vector<int32_t> part(next, next + rows);
        next += rows;
        const Tensor tokens = Tensor::from_values(model.device(), {rows}, part);
        const CachedRows cached = cached_rows(model.device(), std::vector<int64_t>{rows}, sequences,
                                              llm.config().max_position_embeddings);
        const Tensor hidden = llm.decode(llm.embed(tokens).value(), cached, cache);
        sequence.length += rows;
        const auto logits = llm.logits(autograd::Variable(hidden)).value().to_vector<double>();
        result.insert(result.end(), logits.begin(), logits.end());
    }
    return result;
}

// A prefill of 5 rows, then parts of one row and more. Attention of one or two queries sums in
// another order than attention of many, so the logits are equal up to rounding.
TEST_F(LlamaTest, DecodingEqualsTheFullForward) {
    const auto decoded = decoded_logits(*model, ids, {5, 1, 1, 3, 1, 26}, DType::F32);
    EXPECT_LT(relative_error(decoded, golden("llama", "logits").to_vector<double>()),
              kFloatTolerance);
    EXPECT_LT(relative_error(decoded, logits_of({ids}).to_vector<double>()), 1e-6);
}

// Parts of at least three rows give the same bits.
TEST_F(LlamaTest, PrefillInChunksEqualsTheFullForward) {
    for (const DType dtype : {DType::F32, DType::BF16}) {
        model = ModelDirectory(model_goldens() / "llama").load(*device, dtype);
        EXPECT_EQ(decoded_logits(*model, ids, {5, 3, 4, 25}, dtype),
                  logits_of({ids}).to_vector<double>())
            << dtype;
    }
}

// Bit for bit, in the forward pass and in decoding.
TEST_F(LlamaTest, WeightsThatLieTogetherChangeNoBit) {
    for (const DType dtype : {DType::F32, DType::BF16}) {
        model = ModelDirectory(model_goldens() / "llama").load(*device, dtype);
        const std::vector<int64_t> parts = {5, 1, 1, 3, 1, 26};
        const std::vector<double> decoded = decoded_logits(*model, ids, parts, dtype);
        const std::vector<double> logits = logits_of({ids}).to_vector<double>();
        model->llm().lay_weights_together();
        EXPECT_EQ(decoded_logits(*model, ids, parts, dtype), decoded) << dtype;
        EXPECT_EQ(logits_of({ids}).to_vector<double>(), logits) << dtype;
    }
}

TEST_F(LlamaTest, GreedyContinuationMatchesTransformers) {
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

TEST_F(LlamaTest, PrefillChunkDoesNotChangeTheTokens) {
    const std::vector<int32_t> prompt(ids.begin(), ids.begin() + 23);
    GenerateOptions options;
    options.max_tokens = 32;
    const std::vector<int32_t> whole = generate(*model, {prompt, {}, {}}, options);
    for (const int64_t rows : {1, 7, 22, 23}) {
        options.prefill_chunk = rows;
        EXPECT_EQ(generate(*model, {prompt, {}, {}}, options), whole) << rows << " rows at once";
    }
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
    options.max_tokens = 1000;  // more than the 128 positions of the model
    EXPECT_EQ(generate(*model, {prompt, {}, {}}, options).size(), size_t{128 - 5 + 1});
    options.max_tokens = 0;
    EXPECT_TRUE(generate(*model, {prompt, {}, {}}, options).empty());
}

TEST_F(LlamaTest, BatchedPromptsGiveTheTokensOfEachAlone) {
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

TEST_F(LlamaTest, RefusesTooManyPositions) {
    const std::vector<int32_t> long_ids(129, 5);
    EXPECT_THROW(logits_of({long_ids}), Error);
    EXPECT_THROW(generate(*model, {long_ids, {}, {}}, {}), Error);
    EXPECT_NO_THROW(logits_of({std::vector<int32_t>(128, 5)}));
}

TEST_F(ModelTest, RopeFrequenciesMatchTransformers) {
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
    // Compares each frequency by its relative error: small ones matter as much as large ones.
    for (size_t j = 0; j < actual.size(); ++j) EXPECT_NEAR(actual[j] / expected[j], 1.0, 1e-5) << j;
}

}  // namespace
}  // namespace vila::models
