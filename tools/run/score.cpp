#include "tools/run/score.h"

#include <algorithm>
#include <numeric>
#include <span>

#include "models/generate.h"

namespace vila::tools {

namespace {

constexpr size_t kTop = 5;

// Returns the kTop most likely tokens of a row of logits (V), as (id, ln p).
std::vector<std::pair<int32_t, double>> best_tokens(std::span<const float> logits) {
    std::vector<int32_t> ids(logits.size());
    std::iota(ids.begin(), ids.end(), 0);
    const size_t count = std::min(kTop, ids.size());
    std::partial_sort(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(count), ids.end(),
                      [&](int32_t a, int32_t b) {
                          if (logits[a] != logits[b]) return logits[a] > logits[b];
                          return a < b;
                      });
    const double total = models::log_sum_exp(logits);
    std::vector<std::pair<int32_t, double>> best;
    for (size_t i = 0; i < count; ++i) best.emplace_back(ids[i], logits[ids[i]] - total);
    return best;
}

double sum(const std::vector<double>& values) {
    return std::accumulate(values.begin(), values.end(), 0.0);
}

bool have_equal_tokens(const Prompt& prompt) {
    return std::ranges::all_of(prompt.images, [&](const auto& image) {
        return image->tokens == prompt.images.front()->tokens;
    });
}

}  // namespace

Score score_prompt(const PromptBuilder& builder, const Prompt& prompt) {
    builder.check_fits(prompt, 0, "shorten it");
    const models::ScoredSequence scored =
        models::score_many(builder.model(), {prompt.view()}).front();
    Score score;
    score.target_logprob = sum(scored.target_logprobs);
    score.num_target_tokens = static_cast<int64_t>(scored.target_logprobs.size());
    score.top = best_tokens(scored.next_logits);
    return score;
}

std::vector<double> target_logprobs(const PromptBuilder& builder,
                                    const std::vector<Prompt>& prompts) {
    std::vector<models::Sequence> sequences;
    for (const Prompt& prompt : prompts) {
        builder.check_fits(prompt, 0, "shorten it");
        sequences.push_back(prompt.view());
    }
    std::vector<double> sums;
    for (const models::ScoredSequence& scored : models::score_many(builder.model(), sequences))
        sums.push_back(sum(scored.target_logprobs));
    return sums;
}

PromptTensors prompt_tensors(const PromptBuilder& builder, const Prompt& prompt) {
    const models::VilaModel& model = builder.model();
    const models::Batch batch = models::make_batch(model.device(), {prompt.view()});
    PromptTensors tensors;
    tensors.logits = model.logits(batch).to(DType::F32);  // (T, V)
    if (!batch.has_images()) return tensors;
    const autograd::NoGrad no_grad(model.device());
    const autograd::Variable features(batch.features.to(model.dtype()));
    const Tensor tokens = model.project(features).value().to(DType::F32);
    tensors.image_features =
        have_equal_tokens(prompt) ? tokens.reshape({batch.images(), -1, tokens.size(1)}) : tokens;
    return tensors;
}

}  // namespace vila::tools
