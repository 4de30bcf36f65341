// DecodeBatch, compared with each sequence alone, bit for bit.

#include "models/decode_batch.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <stdexcept>

#include "models/generate.h"
#include "models/row_keys.h"
#include "tensor/cpu/cpu_device.h"
#include "tensor/random.h"

namespace vila::models {
namespace {

constexpr int64_t kImageTokens = 4;  // 28 x 28 pixels in patches of 14

// A prompt that owns its ids. Its images are among those of the fixture.
struct Prompt {
    std::vector<int32_t> ids;
    std::vector<HostImage> images;

    Sequence get() const { return {ids, {}, images}; }
};

class DecodeBatchTest : public ::testing::Test {
  protected:
    DecodeBatchTest() : device_(make_cpu_device(2)) {
        for (uint64_t i = 0; i < 3; ++i) {
            std::vector<float> pixels;
            for (uint64_t n = 0; n < 3 * 28 * 28; ++n)
                pixels.push_back(static_cast<float>(random_normal(random_key(7, i), n)));
            pixels_.push_back(std::move(pixels));
        }
        use(DType::F32);
    }

    void use(DType dtype) {
        VilaConfig config;
        VisionConfig& vision = config.vision.emplace();
        vision.kind = VisionConfig::Kind::Siglip;
        vision.hidden_size = 12;
        vision.intermediate_size = 20;
        vision.num_hidden_layers = 1;
        vision.num_attention_heads = 2;
        vision.image_size = 28;
        vision.patch_size = 14;
        config.select_layer = -1;
        config.projector.kind = ProjectorConfig::Kind::Linear;
        config.llm.vocab_size = 61;
        config.llm.hidden_size = 24;
        config.llm.intermediate_size = 40;
        config.llm.num_hidden_layers = 2;
        config.llm.num_attention_heads = 4;
        config.llm.num_key_value_heads = 2;
        config.llm.head_dim = 8;
        config.llm.max_position_embeddings = 768;
        config.llm.init.embedding = 0.5;  // so that the context decides over the next token
        config.llm.init.linear = {nn::InitRule::Kind::Normal, 0.3};
        model_ = std::make_unique<VilaModel>(config, *device_, dtype);
        model_->initialize(1);
    }

    // Gives the last norm of the language model a weight of NaN.
    void damage_weights() {
        for (nn::Parameter& parameter : model_->llm_table())
            if (parameter.name == "model.norm.weight")
                parameter.variable = autograd::Variable(
                    Tensor::full(*device_, parameter.shape, model_->dtype(), NAN));
    }

    const VilaModel& model() const { return *model_; }

    HostImage image(size_t i) const { return {{3, 28, 28}, pixels_[i], kImageTokens, i + 100}; }

    // `length` random ids with up to `images` images between them.
    Prompt random_prompt(uint64_t seed, int64_t length, int64_t images) const {
        Prompt prompt;
        for (int64_t i = 0; i < length; ++i)
            prompt.ids.push_back(static_cast<int32_t>(random_below(seed, uint64_t(i), 61)));
        for (int64_t i = 0; i < images; ++i) {
            const int64_t at = random_below(seed, uint64_t(1000 + i), length);
            if (prompt.ids[size_t(at)] == kImageToken) continue;
            prompt.ids[size_t(at)] = kImageToken;
            prompt.images.push_back(image(size_t(random_below(seed, uint64_t(2000 + i), 3))));
        }
        return prompt;
    }

    std::vector<int32_t> alone(const Prompt& prompt, const DecodeOptions& options,
                               int64_t prefill_chunk = 512) const {
        GenerateOptions generation;
        static_cast<DecodeOptions&>(generation) = options;
        generation.prefill_chunk = prefill_chunk;
        return generate(model(), prompt.get(), generation);
    }

    static std::map<int64_t, Answer> run(DecodeBatch& batch) {
        std::map<int64_t, Answer> answers;
        while (!batch.idle())
            for (Answer& answer : batch.step()) answers[answer.id] = std::move(answer);
        return answers;
    }

  private:
    std::unique_ptr<CpuDevice> device_;
    std::unique_ptr<VilaModel> model_;
    std::vector<std::vector<float>> pixels_;
};

// One of 64 sequences that arrive at random.
struct Arrival {
    Prompt prompt;
    DecodeOptions options;
    int64_t step;            // at which it is added
    int64_t cancelled = -1;  // the number of tokens after which it is cancelled
    int64_t stopped = -1;    // the number of tokens after which on_token returns false
    std::vector<int32_t> tokens, expected;
    int64_t id = -1;
};

// Prompts of unequal length, a third of which begin alike, with images; greedy and sampled; some
// end at a stop id, some by on_token, some are cancelled. There are too few pages for all.
TEST_F(DecodeBatchTest, RandomArrivalsGetTheTokensThatTheyGetAlone) {
    for (const DType dtype : {DType::F32, DType::BF16}) {
        use(dtype);
        const Prompt common = random_prompt(99, 150, 2);
        std::vector<Arrival> arrivals(64);
        const int64_t chunk = 96;
        for (size_t i = 0; i < arrivals.size(); ++i) {
            Arrival& one = arrivals[i];
            const auto draw = [&](uint64_t what, int64_t n) {
                return random_below(random_key(5, i), what, n);
            };
            one.prompt = random_prompt(i, 1 + draw(0, i % 8 == 0 ? 300 : 90), draw(1, 3));
            if (i % 3 == 0) {
                std::vector<int32_t>& ids = one.prompt.ids;
                ids.insert(ids.begin(), common.ids.begin(), common.ids.end());
                one.prompt.images.insert(one.prompt.images.begin(), common.images.begin(),
                                         common.images.end());
            }
            one.options.max_tokens = 1 + draw(2, 30);
            if (i % 2 == 0) one.options.stop_ids = {3, 17};
            if (i % 4 < 2) one.options.sampling = {.temperature = 1.3, .top_p = 0.9, .seed = i};
            if (i % 5 == 0) one.options.sampling.repetition_penalty = 1.2;
            one.step = draw(3, 40);
            one.expected = alone(one.prompt, one.options, chunk);
            const auto length = static_cast<int64_t>(one.expected.size());
            if (i % 7 == 3) one.cancelled = draw(4, 6);
            if (i % 7 == 5) one.stopped = 1 + draw(4, 6);
            for (const int64_t end : {one.cancelled, one.stopped})
                if (end >= 0 && end < length) one.expected.resize(static_cast<size_t>(end));
        }
        DecodeBatch batch(model(), {.pages = 24, .prefill_chunk = chunk, .prefill_rows = 160});
        std::map<int64_t, size_t> index;  // id to arrival
        size_t ended = 0, waited = 0, cancelled = 0;
        for (int64_t step = 0; step <= 40 || !batch.idle(); ++step) {
            for (size_t i = 0; i < arrivals.size(); ++i) {
                Arrival& one = arrivals[i];
                if (one.step == step) {
                    one.id =
                        batch.add(one.prompt.get(), one.options, [&one](int64_t id, int32_t token) {
                            EXPECT_EQ(id, one.id);
                            one.tokens.push_back(token);
                            return static_cast<int64_t>(one.tokens.size()) != one.stopped;
                        });
                    index[one.id] = i;
                }
                if (one.id >= 0 && static_cast<int64_t>(one.tokens.size()) == one.cancelled)
                    cancelled += batch.cancel(one.id);
            }
            for (const Answer& answer : batch.step()) {
                const Arrival& one = arrivals[index.at(answer.id)];
                EXPECT_EQ(answer.error, nullptr);
                EXPECT_EQ(answer.tokens, one.tokens);
                ++ended;
            }
            const DecodeBatchStats stats = batch.stats();
            EXPECT_EQ(stats.pages.used + stats.pages.free, 24);
            waited += stats.waiting > 0;
        }
        EXPECT_EQ(ended + cancelled, arrivals.size());
        EXPECT_GT(cancelled, 4U);
        EXPECT_GT(waited, 5U);
        EXPECT_EQ(batch.stats().pages.free, 24);
        for (size_t i = 0; i < arrivals.size(); ++i)
            EXPECT_EQ(arrivals[i].tokens, arrivals[i].expected) << dtype << ", sequence " << i;
    }
}

TEST_F(DecodeBatchTest, OnTokenEndsItsSequenceAtOnce) {
    const Prompt first = random_prompt(1, 20, 1), second = random_prompt(2, 30, 0);
    const DecodeOptions options = {.max_tokens = 12};
    DecodeBatch batch(model(), {.pages = 2});
    int64_t calls = 0;
    const int64_t id =
        batch.add(first.get(), options, [&](int64_t, int32_t) { return ++calls < 3; });
    batch.add(second.get(), options);
    for (int i = 0; i < 2; ++i) EXPECT_TRUE(batch.step().empty());
    const std::vector<Answer> ended = batch.step();
    ASSERT_EQ(ended.size(), 1U);
    EXPECT_EQ(ended[0].id, id);
    EXPECT_EQ(ended[0].ending, Ending::Caller);
    auto expected = alone(first, options);
    expected.resize(3);
    EXPECT_EQ(ended[0].tokens, expected);
    EXPECT_EQ(batch.stats().pages.used, 1) << "its page is free in the same step";
    EXPECT_EQ(run(batch).at(id + 1).tokens, alone(second, options));
    EXPECT_EQ(calls, 3);
}

// 16 prompts share their first 600 tokens, an image among them. The whole pages of these tokens
// exist once; the last 24 tokens are in a page that each sequence has for itself.
TEST_F(DecodeBatchTest, ASharedPrefixTakesItsMemoryOnce) {
    const Prompt prefix = random_prompt(3, 600 - (kImageTokens - 1), 1);
    const DecodeOptions options = {.max_tokens = 20};
    std::vector<Prompt> prompts;
    for (uint64_t i = 0; i < 16; ++i) {
        prompts.push_back(prefix);
        const Prompt question = random_prompt(50 + i, 5 + static_cast<int64_t>(i), 0);
        prompts.back().ids.insert(prompts.back().ids.end(), question.ids.begin(),
                                  question.ids.end());
    }
    const int64_t shared = 600 / kPageRows;
    for (const bool shares : {true, false}) {
        DecodeBatch batch(model(), {.pages = 16 * 11, .share_prefixes = shares});
        for (const Prompt& prompt : prompts) batch.add(prompt.get(), options);
        std::map<int64_t, Answer> answers;
        int64_t most = 0;
        while (!batch.idle()) {
            for (Answer& answer : batch.step()) answers[answer.id] = std::move(answer);
            most = std::max(most, batch.stats().pages.used);
            if (batch.stats().decoding == 16) {
                EXPECT_EQ(batch.stats().pages.shared, shares ? shared : 0);
            }
        }
        EXPECT_EQ(most, shares ? shared + 16 : 16 * (shared + 1));
        for (size_t i = 0; i < prompts.size(); ++i)
            EXPECT_EQ(answers.at(static_cast<int64_t>(i)).tokens, alone(prompts[i], options)) << i;
    }
}

// Prompts whose beginning was read before. They end at the end of a page, one row after it, or a
// few rows after it, which attention would sum in another order.
TEST_F(DecodeBatchTest, EarlierPromptsAreUsedAgain) {
    const DecodeOptions options = {.max_tokens = 8, .sampling = {.temperature = 1.0, .seed = 4}};
    const Prompt longest = random_prompt(4, 200, 0);
    for (const int64_t chunk : {512, 100, 65, 3, 2, 1}) {
        DecodeBatch batch(model(), {.pages = 16, .prefill_chunk = chunk});
        batch.add(longest.get(), options);
        run(batch);
        for (const int64_t length : {64, 65, 66, 67, 128, 129, 130, 131, 194, 199, 200}) {
            Prompt prompt = longest;
            prompt.ids.resize(static_cast<size_t>(length));
            const int64_t id = batch.add(prompt.get(), options);
            EXPECT_EQ(run(batch).at(id).tokens, alone(prompt, options, chunk))
                << length << " rows in chunks of " << chunk;
        }
    }
}

// Tokens rarely show the order of summation, so this looks at the pages: a whole page is not shared
// if that would leave a chunk of the prompt with one or two rows.
TEST_F(DecodeBatchTest, NoChunkIsLeftWithFewRows) {
    const Prompt longest = random_prompt(4, 200, 0);
    struct Case {
        int64_t chunk, length, shared;
    };
    for (const auto& [chunk, length, shared] : {Case{512, 64, 0},
                                                {512, 65, 0},
                                                {512, 66, 0},
                                                {512, 67, 1},
                                                {512, 128, 1},
                                                {512, 130, 1},
                                                {512, 131, 2},
                                                {64, 65, 1},
                                                {65, 67, 0},
                                                {66, 131, 2},
                                                {66, 130, 0},
                                                {2, 66, 1}}) {
        DecodeBatch batch(model(), {.pages = 16, .prefill_chunk = chunk});
        Prompt prompt = longest;
        prompt.ids.resize(static_cast<size_t>(length));
        batch.add(longest.get(), {.max_tokens = 200});
        batch.add(prompt.get(), {.max_tokens = 200});
        while (batch.stats().decoding < 2) batch.step();
        EXPECT_EQ(batch.stats().pages.shared, shared) << length << " rows in chunks of " << chunk;
    }
}

TEST_F(DecodeBatchTest, ImagesAreSharedByTheirKeys) {
    Prompt prompt = random_prompt(6, 140, 0);
    prompt.ids[30] = kImageToken;
    const DecodeOptions options = {.max_tokens = 4};
    const auto pages_after = [&](const HostImage& first, const HostImage& second) {
        DecodeBatch batch(model(), {.pages = 8});
        std::vector<Prompt> both(2, prompt);
        both[0].images = {first};
        both[1].images = {second};
        for (const Prompt& one : both) batch.add(one.get(), options);
        int64_t most = 0;
        std::map<int64_t, Answer> answers;
        while (!batch.idle()) {
            for (Answer& answer : batch.step()) answers[answer.id] = std::move(answer);
            most = std::max(most, batch.stats().pages.used);
        }
        for (size_t i = 0; i < 2; ++i)
            EXPECT_EQ(answers.at(static_cast<int64_t>(i)).tokens, alone(both[i], options));
        return most;
    };
    EXPECT_EQ(pages_after(image(0), image(0)), 4);
    EXPECT_EQ(pages_after(image(0), image(1)), 6);
    HostImage unknown = image(0);
    unknown.key = 0;
    EXPECT_EQ(pages_after(unknown, unknown), 6);
}

// A conversation: the second prompt begins with the first one.
TEST_F(DecodeBatchTest, GenerateUsesTheKeysOfEarlierTurns) {
    GenerateOptions options;
    options.max_tokens = 9;
    DecodeBatch batch(model(), {.pages = 12});
    Prompt turn = random_prompt(14, 150, 1);
    const std::vector<int32_t> answer = generate(batch, turn.get(), options);
    EXPECT_EQ(answer, generate(model(), turn.get(), options));
    turn.ids.insert(turn.ids.end(), answer.begin(), answer.end());
    turn.ids.insert(turn.ids.end(), {5, 6, 7});
    EXPECT_EQ(generate(batch, turn.get(), options), generate(model(), turn.get(), options));

    options.on_token = [](int32_t) -> bool { throw std::runtime_error("the terminal closed"); };
    EXPECT_THROW(generate(batch, turn.get(), options), std::runtime_error);
    EXPECT_TRUE(batch.idle()) << "the next turn can be asked";
    batch.add(turn.get(), options);
    EXPECT_THROW(generate(batch, turn.get(), options), Error) << "the batch holds a sequence";
}

TEST_F(DecodeBatchTest, AnErrorEndsOneSequence) {
    const Prompt prompt = random_prompt(8, 20, 0), with_image = random_prompt(9, 20, 2);
    Prompt damaged = with_image;
    damaged.images[0].shape = {3, 14, 28};
    const DecodeOptions options = {.max_tokens = 6};
    DecodeOptions impossible = options;
    impossible.sampling.min_tokens = 2;
    for (int32_t id = 0; id < 61; ++id) impossible.stop_ids.push_back(id);
    DecodeBatch batch(model(), {.pages = 8});
    batch.add(prompt.get(), options);
    batch.add(damaged.get(), options);
    batch.add(prompt.get(), impossible);
    batch.add(prompt.get(), options,
              [](int64_t, int32_t) -> bool { throw std::runtime_error("the client left"); });
    batch.add(with_image.get(), options);
    const auto answers = run(batch);
    EXPECT_EQ(answers.at(0).tokens, alone(prompt, options));
    EXPECT_EQ(answers.at(4).tokens, alone(with_image, options));
    EXPECT_EQ(answers.at(4).ending, Ending::Length);
    for (const int64_t id : {1, 2, 3}) {
        EXPECT_EQ(answers.at(id).ending, Ending::Error);
        EXPECT_NE(answers.at(id).error, nullptr);
    }
    EXPECT_THROW(std::rethrow_exception(answers.at(2).error), Error);
    EXPECT_THROW(std::rethrow_exception(answers.at(3).error), std::runtime_error);
    EXPECT_EQ(batch.stats().pages.free, 8);
}

TEST_F(DecodeBatchTest, SequencesWaitForPages) {
    const Prompt prompt = random_prompt(10, 60, 0);
    const DecodeOptions options = {.max_tokens = 10};  // 69 positions: two pages
    DecodeBatch batch(model(), {.pages = 3});
    for (int i = 0; i < 3; ++i) batch.add(prompt.get(), options);
    batch.step();
    EXPECT_EQ(batch.stats().decoding, 1);
    EXPECT_EQ(batch.stats().waiting, 2);
    for (const auto& [id, answer] : run(batch)) EXPECT_EQ(answer.tokens, alone(prompt, options));

    DecodeBatch one_at_a_time(model(), {.pages = 9, .max_sequences = 1});
    for (int i = 0; i < 3; ++i) one_at_a_time.add(prompt.get(), options);
    one_at_a_time.step();
    EXPECT_EQ(one_at_a_time.stats().waiting, 2);
    EXPECT_EQ(run(one_at_a_time).size(), 3U);
}

TEST_F(DecodeBatchTest, CountsPagesOfASharedBeginningOnce) {
    const Prompt beginning = random_prompt(21, 600, 1), other = random_prompt(22, 70, 0);
    std::vector<Prompt> prompts(4, beginning);
    for (size_t i = 0; i < prompts.size(); ++i) prompts[i].ids.push_back(static_cast<int32_t>(i));
    std::vector<Sequence> sequences;
    for (const Prompt& prompt : prompts) sequences.push_back(prompt.get());
    const DecodeOptions options{.max_tokens = 10};
    const auto pages = [&](const std::vector<Sequence>& all) {
        return DecodeBatch::pages_for(model(), all, options);
    };
    const int64_t rows = static_cast<int64_t>(row_keys(sequences[0]).size());
    const int64_t alone = pages({sequences[0]}), shared = (rows - 1) / kPageRows;
    EXPECT_EQ(alone, DecodeBatch::pages_for(model(), sequences[0], options));
    EXPECT_GE(shared, 9);
    EXPECT_EQ(pages(sequences), shared + 4 * (alone - shared));
    EXPECT_EQ(pages({sequences[0], other.get()}), alone + pages({other.get()}));
    for (Sequence& sequence : sequences)
        for (HostImage& image : sequence.images) image.key = 0;  // unknown pictures: none shared
    EXPECT_GT(pages(sequences), shared + 4 * (alone - shared));
}

TEST_F(DecodeBatchTest, NamesLogitsThatAreNotFinite) {
    damage_weights();
    const Prompt prompt = random_prompt(11, 20, 0);
    for (const double temperature : {0.0, 1.0})
        EXPECT_THROW(alone(prompt, {.sampling = {.temperature = temperature}}), Error);
    EXPECT_THROW(score_many(model(), {prompt.get()}), Error);
}

TEST_F(DecodeBatchTest, RefusesWhatCannotBeAnswered) {
    DecodeBatch batch(model(), {.pages = 2});
    const auto refused = [&](const Sequence& prompt, const DecodeOptions& options) {
        EXPECT_THROW(batch.add(prompt, options), Error);
    };
    const Prompt prompt = random_prompt(11, 60, 0);
    refused(prompt.get(), {.max_tokens = 0});
    refused(prompt.get(), {.max_tokens = 100});  // three pages
    refused({}, {});
    refused(random_prompt(11, 769, 0).get(), {.max_tokens = 1});
    refused(Sequence{random_prompt(11, 20, 1).ids, {}, {}}, {.max_tokens = 1});
    EXPECT_TRUE(batch.idle());
    EXPECT_THROW(DecodeBatch(model(), {.pages = 2, .prefill_chunk = 0}), Error);
}

TEST_F(DecodeBatchTest, OnTokenMayAddAndCancel) {
    const Prompt first = random_prompt(12, 20, 0), second = random_prompt(13, 9, 1);
    const DecodeOptions options = {.max_tokens = 7};
    DecodeBatch batch(model(), {.pages = 4});
    int64_t added = -1, calls = 0;
    const int64_t other = batch.add(second.get(), options);
    const int64_t id = batch.add(first.get(), options, [&](int64_t own, int32_t) {
        if (++calls == 2) {
            added = batch.add(second.get(), options);
            EXPECT_TRUE(batch.cancel(other));
            EXPECT_FALSE(batch.cancel(other));
        }
        if (calls == 4) {
            EXPECT_TRUE(batch.cancel(own));
        }
        return true;
    });
    const auto answers = run(batch);
    EXPECT_EQ(calls, 4);
    EXPECT_EQ(answers.size(), 1U);
    EXPECT_EQ(answers.count(id), 0U);
    EXPECT_EQ(answers.at(added).tokens, alone(second, options));
    EXPECT_EQ(batch.stats().pages.free, 4);
}

}  // namespace
}  // namespace vila::models
