#include "tools/run/score.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace vila::tools {

namespace {

constexpr size_t kTop = 5;

// ln sum exp of a row of logits (V), in f64.
double log_sum_exp(std::span<const float> logits) {
    const double highest = *std::max_element(logits.begin(), logits.end());
    double sum = 0.0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - highest);
    return highest + std::log(sum);
}

// The most likely tokens of a row of logits (V), as (id, ln p).
std::vector<std::pair<int32_t, double>> best_tokens(std::span<const float> logits) {
    std::vector<int32_t> ids(logits.size());
    std::iota(ids.begin(), ids.end(), 0);
    const size_t count = std::min(kTop, ids.size());
    std::partial_sort(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(count), ids.end(),
                      [&](int32_t a, int32_t b) {
                          if (logits[a] != logits[b]) return logits[a] > logits[b];
                          return a < b;
                      });
    const double total = log_sum_exp(logits);
    std::vector<std::pair<int32_t, double>> best;
    for (size_t i = 0; i < count; ++i) best.emplace_back(ids[i], logits[ids[i]] - total);
    return best;
}

bool have_equal_tokens(const Prompt& prompt) {
    return std::ranges::all_of(prompt.images, [&](const auto& image) {
        return image->tokens == prompt.images.front()->tokens;
    });
}

}  // namespace

Score score_prompt(const LoadedModel& loaded, const Prompt& prompt, bool keep) {
    loaded.check_fits(prompt, 0);
    const models::VilaModel& model = loaded.model();
    const models::Batch batch = models::make_batch(loaded.device(), {prompt.view()});
    const Tensor logits = model.logits(batch);  // (T, V)
    const int64_t V = logits.size(1);

    Score score;
    const auto rows = batch.loss_rows.to_vector<int32_t>();
    const auto targets = batch.targets.to_vector<int32_t>();
    for (size_t i = 0; i < rows.size(); ++i) {
        const auto row = logits.slice(0, rows[i], rows[i] + 1).to_vector<float>();
        score.target_logprob += row[targets[i]] - log_sum_exp(row);
    }
    score.num_target_tokens = static_cast<int64_t>(rows.size());
    score.top = best_tokens(logits.slice(0, logits.size(0) - 1, logits.size(0)).to_vector<float>());
    if (keep) {
        score.logits = logits.reshape({-1, V}).to(DType::F32);
        if (batch.has_images()) {
            const autograd::NoGrad no_grad(loaded.device());
            const autograd::Variable features(batch.features.to(model.dtype()));
            const Tensor tokens = model.project(features).value().to(DType::F32);
            score.image_features = have_equal_tokens(prompt)
                                       ? tokens.reshape({batch.images(), -1, tokens.size(1)})
                                       : tokens;
        }
    }
    return score;
}

std::vector<double> target_logprobs(const LoadedModel& loaded, const std::vector<Prompt>& prompts) {
    const autograd::NoGrad no_grad(loaded.device());
    std::vector<models::Sequence> sequences;
    for (const Prompt& prompt : prompts) {
        loaded.check_fits(prompt, 0);
        sequences.push_back(prompt.view());
    }
    const models::Batch batch = models::make_batch(loaded.device(), sequences);
    Tensor row_losses;
    loaded.model().loss(batch, 1.0, &row_losses);
    const auto losses = row_losses.to_vector<double>();
    std::vector<double> sums;
    size_t next = 0;
    for (const Prompt& prompt : prompts) {
        double sum = 0.0;
        for (const int32_t label : prompt.labels)
            if (label != kIgnoreLabel) sum -= losses[next++];
        sums.push_back(sum);
    }
    VILA_ASSERT(next == losses.size());
    return sums;
}

}  // namespace vila::tools
