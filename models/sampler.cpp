#include "models/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "tensor/check.h"
#include "tensor/random.h"

namespace vila::models {

namespace {

int32_t argmax(std::span<const float> logits) {
    return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

}  // namespace

bool is_greedy(const SamplerOptions& options) {
    return options.temperature == 0.0 && options.repetition_penalty == 1.0 &&
           options.min_tokens == 0 && options.top_k >= 0 && options.top_p > 0.0;
}

void adjust_logits(std::span<float> logits, const SamplerOptions& options,
                   std::span<const int32_t> context, std::span<const int32_t> stop_ids,
                   int64_t step) {
    VILA_CHECK(options.repetition_penalty > 0.0 && options.min_tokens >= 0,
               "[sample] expected repetition_penalty > 0 and min_tokens >= 0");
    const auto known = [&](int32_t id) {
        return id >= 0 && id < static_cast<int64_t>(logits.size());
    };
    if (options.repetition_penalty != 1.0) {
        const auto penalty = static_cast<float>(options.repetition_penalty);
        std::vector<bool> seen(logits.size());
        for (const int32_t id : context)
            if (known(id)) seen[static_cast<size_t>(id)] = true;
        for (size_t id = 0; id < logits.size(); ++id)
            if (seen[id])
                logits[id] = logits[id] < 0.0F ? logits[id] * penalty : logits[id] / penalty;
    }
    if (step >= options.min_tokens) return;
    for (const int32_t id : stop_ids)
        if (known(id)) logits[static_cast<size_t>(id)] = -std::numeric_limits<float>::infinity();
    VILA_CHECK(!std::isinf(logits[static_cast<size_t>(argmax(logits))]),
               "[sample] min_tokens leaves no token: every id is a stop id");
}

int32_t sample_token(std::span<const float> logits, const SamplerOptions& options, int64_t step) {
    VILA_CHECK(!logits.empty(), "[sample] no logits");
    VILA_CHECK(options.temperature >= 0.0 && options.top_k >= 0 && options.top_p > 0.0,
               "[sample] expected temperature >= 0, top_k >= 0 and top_p > 0");
    for (const float logit : logits) VILA_CHECK(!std::isnan(logit), kNotFinite);
    if (options.temperature == 0.0) return argmax(logits);

    // Sorted by logit, largest first; ties by id.
    std::vector<int32_t> ids(logits.size());
    std::iota(ids.begin(), ids.end(), 0);
    size_t kept_ids = ids.size();
    if (options.top_k > 0) kept_ids = std::min(kept_ids, static_cast<size_t>(options.top_k));
    const auto kept_end = ids.begin() + static_cast<int64_t>(kept_ids);
    std::partial_sort(ids.begin(), kept_end, ids.end(), [&](int32_t a, int32_t b) {
        const float left = logits[static_cast<size_t>(a)], right = logits[static_cast<size_t>(b)];
        return left > right || (left == right && a < b);
    });
    ids.resize(kept_ids);

    const double largest = logits[static_cast<size_t>(ids[0])];
    std::vector<double> shares;
    for (const int32_t id : ids)
        shares.push_back(
            std::exp((logits[static_cast<size_t>(id)] - largest) / options.temperature));
    double total = std::accumulate(shares.begin(), shares.end(), 0.0);
    if (options.top_p < 1.0) {
        // Keeps the token that crosses the threshold.
        double kept = 0.0;
        size_t count = 0;
        while (count < shares.size() && kept < options.top_p * total) kept += shares[count++];
        shares.resize(count);
        total = kept;
    }
    double draw =
        random_uniform(random_key(options.seed, "sample_token"), static_cast<uint64_t>(step)) *
        total;
    for (size_t i = 0; i < shares.size(); ++i) {
        draw -= shares[i];
        if (draw < 0.0) return ids[i];
    }
    return ids[shares.size() - 1];
}

double log_sum_exp(std::span<const float> logits) {
    const double highest = *std::max_element(logits.begin(), logits.end());
    double sum = 0.0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - highest);
    return highest + std::log(sum);
}

}  // namespace vila::models
