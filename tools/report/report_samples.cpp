#include "tools/report/report_samples.h"

#include <algorithm>
#include <span>

#include "data/image/image_write.h"
#include "data/records/dataset.h"
#include "data/text/trim.h"
#include "models/generate.h"
#include "tools/base/image_source.h"
#include "tools/run/answer_stream.h"
#include "tools/run/loaded_model.h"
#include "tools/train/recipe.h"
#include "tools/train/recipe_model.h"
#include "tools/train/training_data.h"

namespace vila::tools {

namespace {

namespace fs = std::filesystem;

constexpr int64_t kLongestAnswer = 128;
// A text whose first target comes earlier than this has no question; its first half is taken as
// one.
constexpr size_t kShortestQuestion = 3;

// The ids of the answer in a sample: [begin, end).
struct AnswerSpan {
    size_t begin, end;
};

AnswerSpan answer_span(const data::Sample& sample) {
    const auto is_target = [&](size_t i) { return sample.labels[i] != kIgnoreLabel; };
    const auto image = std::find(sample.ids.begin(), sample.ids.end(), kImageToken);
    // In an interleaved document, the text before the first image is not about the image.
    size_t begin =
        image == sample.ids.end() ? 0 : static_cast<size_t>(image - sample.ids.begin()) + 1;
    while (begin < sample.ids.size() && !is_target(begin)) ++begin;
    if (begin < kShortestQuestion && sample.images.empty()) begin = (sample.ids.size() + 1) / 2;
    size_t end = begin;
    while (end < sample.ids.size() && is_target(end)) ++end;
    return {begin, end};
}

std::string trimmed(const std::string& text) {
    return std::string(data::trimmed(text, " \n\t"));
}

// The text of ids, without image placeholders and special tokens.
std::string text_of(std::span<const int32_t> ids, const data::Tokenizer& tokenizer) {
    std::vector<int32_t> words;
    for (const int32_t id : ids)
        if (id != kImageToken) words.push_back(id);
    return trimmed(tokenizer.decode(words, true));
}

AnswerCard answer(const PromptBuilder& builder, const data::Sample& sample) {
    const auto [begin, end] = answer_span(sample);
    const std::span<const int32_t> ids(sample.ids);
    const auto shown =
        std::count(ids.begin(), ids.begin() + static_cast<int64_t>(begin), kImageToken);
    const std::vector<data::ImageRef> images(sample.images.begin(), sample.images.begin() + shown);
    AnswerCard card;
    for (const data::ImageRef& image : images)
        card.images.push_back(data::png_data_uri(read_image(image)));
    card.question = text_of(ids.first(begin), builder.tokenizer());
    card.truth = text_of(ids.subspan(begin, end - begin), builder.tokenizer());

    const Prompt prompt =
        builder.record_prompt({ids.begin(), ids.begin() + static_cast<int64_t>(begin)}, images);
    models::GenerateOptions options;
    options.stop_ids = builder.stop_ids();
    const std::vector<std::string> stops = builder.stop_texts();
    options.max_tokens = std::min<int64_t>(static_cast<int64_t>(end - begin), kLongestAnswer);
    card.answer = trimmed(before_stops(
        builder.text_of(models::generate(builder.model(), prompt.view(), options)), stops));
    card.correct = card.answer == card.truth;
    return card;
}

SourceSamples answer_source(const PromptBuilder& builder, const Recipe& recipe,
                            const SourceRecipe& source, int64_t count) {
    const auto dataset = data::open_dataset(dataset_source(source));
    const data::ImageTokens image_tokens =
        image_token_counter(builder.model().config().image_layout());
    SourceSamples samples{source.name, {}};
    const int64_t kept = std::min(count, dataset->size());
    for (int64_t i = 0; i < kept; ++i) {
        data::Sample sample = dataset->get(i * dataset->size() / kept,
                                           {builder.tokenizer(), builder.chat_template()});
        data::count_image_tokens(sample, image_tokens);
        data::truncate_sample(sample, recipe.data.max_length);
        samples.cards.push_back(answer(builder, sample));
    }
    return samples;
}

}  // namespace

std::vector<SourceSamples> run_samples(const fs::path& run, int64_t count,
                                       const CommonOptions& options) {
    const Recipe recipe = load_recipe(run / "recipe.toml", {});
    VILA_CHECK(stage_facts(*recipe.stage).loss == StageLoss::NextToken, "stage ",
               stage_facts(*recipe.stage).name,
               " trains a vision tower, which cannot answer questions");
    VILA_CHECK(fs::exists(run / "model"), (run / "model").string(),
               ": is not there yet; the run has not finished");
    const LoadedModel loaded(run / "model", options);
    const auto sources = static_cast<int64_t>(recipe.data.sources.size());
    std::vector<SourceSamples> samples;
    for (const SourceRecipe& source : recipe.data.sources)
        samples.push_back(
            answer_source(loaded.prompts(), recipe, source, (count + sources - 1) / sources));
    return samples;
}

}  // namespace vila::tools
