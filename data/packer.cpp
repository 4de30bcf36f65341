#include "data/packer.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <utility>

#include "tensor/check.h"

namespace vila::data {

namespace {

using Bins = std::vector<std::vector<int64_t>>;

// Indices of samples, longest first; equals stay in order.
std::vector<int64_t> longest_first(std::span<const int64_t> lengths) {
    std::vector<int64_t> order(lengths.size());
    std::iota(order.begin(), order.end(), int64_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](int64_t a, int64_t b) { return lengths[a] > lengths[b]; });
    return order;
}

Bins best_fit(std::span<const int64_t> lengths, int64_t budget) {
    Bins bins;
    std::set<std::pair<int64_t, int64_t>> room;  // (positions free, bin)
    for (const int64_t index : longest_first(lengths)) {
        auto place = room.lower_bound({lengths[index], -1});
        int64_t free = budget, bin = static_cast<int64_t>(bins.size());
        if (place == room.end()) {
            bins.emplace_back();
        } else {
            free = place->first;
            bin = place->second;
            room.erase(place);
        }
        bins[bin].push_back(index);
        room.insert({free - lengths[index], bin});
    }
    return bins;
}

// Makes the number of bins a multiple by moving single samples into bins of their own. A bin's last
// sample is its shortest.
void round_up_bins(Bins& bins, int64_t multiple_of) {
    while (static_cast<int64_t>(bins.size()) % multiple_of != 0) {
        auto most = std::max_element(bins.begin(), bins.end(), [](const auto& a, const auto& b) {
            return a.size() < b.size();
        });
        VILA_ASSERT(most->size() > 1);
        const int64_t moved = most->back();
        most->pop_back();
        bins.push_back({moved});
    }
}

}  // namespace

Bins pack(std::span<const int64_t> lengths, int64_t budget, int64_t multiple_of) {
    const auto samples = static_cast<int64_t>(lengths.size());
    VILA_CHECK(multiple_of >= 1, "packing into a multiple of ", multiple_of, " bins");
    VILA_CHECK(samples % multiple_of == 0 || samples > multiple_of, "packing ", samples,
               " samples into a multiple of ", multiple_of, " bins: too few samples");
    for (const int64_t length : lengths)
        VILA_CHECK(length >= 0 && length <= budget, "packing a sample of ", length,
                   " positions into bins of ", budget);
    Bins bins = best_fit(lengths, budget);
    VILA_CHECK((static_cast<int64_t>(bins.size()) + multiple_of - 1) / multiple_of * multiple_of <=
                   samples,
               "packing ", samples, " samples into a multiple of ", multiple_of,
               " bins: too few samples");
    round_up_bins(bins, multiple_of);
    const auto load = [&](const std::vector<int64_t>& bin) {
        int64_t total = 0;
        for (const int64_t index : bin) total += lengths[index];
        return total;
    };
    for (auto& bin : bins) std::sort(bin.begin(), bin.end());
    std::stable_sort(bins.begin(), bins.end(),
                     [&](const auto& a, const auto& b) { return load(a) > load(b); });
    return bins;
}

}  // namespace vila::data
