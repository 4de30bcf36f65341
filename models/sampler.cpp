#include "models/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "tensor/check.h"
#include "tensor/random.h"

namespace vila::models {

namespace {

int32_t most_probable(std::span<const float> logits) {
    return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

}  // namespace

int32_t sample_token(std::span<const float> logits, const SamplerOptions& options, int64_t step) {
    VILA_CHECK(!logits.empty(), "[sample] no logits");
    VILA_CHECK(options.temperature >= 0.0 && options.top_k >= 0 && options.top_p > 0.0,
               "[sample] expected temperature >= 0, top_k >= 0 and top_p > 0");
    if (options.temperature == 0.0) return most_probable(logits);

    // Most probable first; ties by id.
    std::vector<int32_t> ids(logits.size());
    std::iota(ids.begin(), ids.end(), 0);
    std::stable_sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) {
        return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
    });
    if (options.top_k > 0 && options.top_k < static_cast<int64_t>(ids.size()))
        ids.resize(static_cast<size_t>(options.top_k));

    const double largest = logits[static_cast<size_t>(ids[0])];
    std::vector<double> shares;
    for (const int32_t id : ids)
        shares.push_back(
            std::exp((logits[static_cast<size_t>(id)] - largest) / options.temperature));
    double total = std::accumulate(shares.begin(), shares.end(), 0.0);
    if (options.top_p < 1.0) {
        // The token that crosses the threshold is kept.
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

}  // namespace vila::models
