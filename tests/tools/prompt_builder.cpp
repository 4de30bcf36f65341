// Prompts for a model in memory: images as files and as bytes, the memory of their features, and an
// evaluation of such a model.

#include "tools/run/prompt_builder.h"

#include <gtest/gtest.h>

#include <set>

#include "data/image/image_write.h"
#include "tensor/cpu/cpu_device.h"
#include "tensor/file.h"
#include "tensor/random.h"
#include "tests/support/text_helpers.h"
#include "tests/support/tiled_config.h"
#include "tools/eval/eval_task.h"
#include "tools/run/score.h"

namespace vila::tools {
namespace {

constexpr int64_t kSide = 8;

class PromptBuilderTest : public ::testing::Test {
  protected:
    PromptBuilderTest() : device_(make_cpu_device(1)) {
        tokenizer_ = data::byte_tokenizer();
        models::VilaConfig config = models::small_tiled_config(kSide, 1);
        config.llm.vocab_size = tokenizer_->vocab_size();
        model_ = std::make_unique<models::VilaModel>(config, *device_, DType::F32);
        model_->initialize(3);
        builder_.emplace(*model_, *tokenizer_,
                         data::ImageProcessor(data::ImageProcessorConfig::for_tower(
                                                  kSide, {0.5, 0.5, 0.5}, {0.5, 0.5, 0.5}, false),
                                              data::ImageMode::Resize));
        builder_->use_template(data::ChatTemplate::named("qa"));
        data::Image picture(kSide, kSide);
        for (size_t i = 0; i < picture.rgb.size(); ++i)
            picture.rgb[i] = static_cast<uint8_t>(random_below(5, i, 256));
        encoded_ = data::encode_png(picture);
        write_file_atomic(file(), std::string(encoded_.begin(), encoded_.end()));
    }

    std::string file() const { return (directory_.path() / "picture.png").string(); }
    std::vector<PromptImage> from_file() const { return image_files({file()}); }
    std::vector<PromptImage> from_memory() const {
        return {{std::make_shared<const std::vector<uint8_t>>(encoded_), "upload 1"}};
    }

    data::ScratchFolder directory_;
    std::unique_ptr<Device> device_;
    std::unique_ptr<data::Tokenizer> tokenizer_;
    std::unique_ptr<models::VilaModel> model_;
    std::optional<PromptBuilder> builder_;
    std::vector<uint8_t> encoded_;
};

TEST_F(PromptBuilderTest, TakesImagesAsFilesAndAsBytes) {
    const Prompt one = builder_->raw_prompt("<image>red", from_file());
    const Prompt other = builder_->raw_prompt("<image>red", from_memory());
    EXPECT_EQ(one.ids, other.ids);
    EXPECT_EQ(one.images.at(0), other.images.at(0));  // computed once
    EXPECT_EQ(one.positions(), static_cast<int64_t>(one.ids.size()) + one.images[0]->tokens - 1);
    EXPECT_GT(one.images[0]->tokens, 1);
}

TEST_F(PromptBuilderTest, ComputesFeaturesAgainAfterTheyAreForgotten) {
    const Prompt before = builder_->raw_prompt("<image>", from_memory());
    model_->initialize(4);
    EXPECT_EQ(builder_->raw_prompt("<image>", from_memory()).images[0], before.images[0]);
    builder_->forget_features();
    const Prompt after = builder_->raw_prompt("<image>", from_memory());
    EXPECT_EQ(after.images[0]->shape, before.images[0]->shape);
    EXPECT_NE(after.images[0]->values, before.images[0]->values);
}

TEST_F(PromptBuilderTest, NamesAnImageThatCannotBeUsed) {
    const std::vector<PromptImage> broken = {
        {std::make_shared<const std::vector<uint8_t>>(encoded_.begin(), encoded_.begin() + 40),
         "upload 2"}};
    const std::string message = data::message_of([&] {
        builder_->chat_prompt({{data::Role::User, "hi"}}, broken);
    });
    EXPECT_TRUE(message.starts_with("upload 2: ")) << message;
    EXPECT_THROW(builder_->raw_prompt("<image>", image_files({"/nowhere.png"})), Error);
    EXPECT_THROW(builder_->raw_prompt("red", from_memory()), Error);
    const PromptBuilder without_processor(*model_, *tokenizer_, std::nullopt);
    EXPECT_THROW(without_processor.raw_prompt("<image>", from_memory()), Error);
}

TEST_F(PromptBuilderTest, RefusesTokensWithoutAnEmbedding) {
    models::VilaConfig config = models::small_tiled_config(kSide, 1);
    config.llm.vocab_size = tokenizer_->encode("b", {}).back();  // one too few for "b"
    models::VilaModel model(config, *device_, DType::F32);
    PromptBuilder builder(model, *tokenizer_, std::nullopt);
    EXPECT_NO_THROW(builder.raw_prompt("a", {}));
    const std::string message = data::message_of([&] { builder.raw_prompt("ab", {}); });
    EXPECT_NE(message.find("gives token \"b\" the id"), std::string::npos) << message;
}

TEST_F(PromptBuilderTest, ThrowsTheReasonWhyThereIsNoTemplate) {
    builder_->refuse_template("the template is broken");
    const auto ask = [&] { builder_->chat_prompt({{data::Role::User, "hi"}}, {}); };
    EXPECT_EQ(data::message_of(ask), "the template is broken");
    EXPECT_EQ(builder_->stop_texts(), std::vector<std::string>());
    builder_->use_template(data::ChatTemplate::named("qa"));
    EXPECT_EQ(data::message_of(ask), "no error");
}

// As a training run evaluates: the answers follow the weights in memory.
TEST_F(PromptBuilderTest, EvaluatesAModelInMemory) {
    EvalItem item;
    item.question_id = "q";
    item.question = {.images = {file()}, .text = "what color?", .answer = "red"};
    item.answers = {"red"};
    item.choices = {"red", "tan", "sky", "ash"};  // of one length
    const EvalTask& task = find_eval_task("choice");
    std::set<std::string> answers;
    for (uint64_t seed = 1; seed <= 12; ++seed) {
        model_->initialize(seed);
        builder_->forget_features();
        std::string best;
        double highest = -1e9;
        for (const std::string& choice : item.choices) {
            const Prompt prompt = builder_->answered_prompt(
                {{data::Role::User, "<image>\nwhat color?"}}, from_file(), choice);
            const double logprob = score_prompt(*builder_, prompt).target_logprob;
            if (logprob > highest) {
                highest = logprob;
                best = choice;
            }
        }
        const EvalResult result = run_eval(task, *builder_, {item}, {});
        EXPECT_EQ(result.predictions.at(0).text, best) << "seed " << seed;
        answers.insert(best);
    }
    EXPECT_GT(answers.size(), 1u);
}

}  // namespace
}  // namespace vila::tools
