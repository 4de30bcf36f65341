#include "data/loader/packer.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <utility>

#include "tensor/check.h"

namespace vila::data {

namespace {

using Bins = std::vector<std::vector<int64_t>>;

// Returns the indices of samples, longest first; samples of equal length stay in order.
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

// Makes the number of bins a multiple of `multiple_of` by moving single samples into new bins. The
// last sample of a bin is its shortest.
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

std::vector<int64_t> by_descending_cost(std::span<const double> costs) {
    std::vector<int64_t> order(costs.size());
    std::iota(order.begin(), order.end(), int64_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](int64_t a, int64_t b) { return costs[a] > costs[b]; });
    return order;
}

void sort_by_cost(Bins& bins, std::span<const double> costs) {
    const auto cost = [&](const std::vector<int64_t>& bin) {
        double total = 0.0;
        for (const int64_t index : bin) total += costs[index];
        return total;
    };
    for (auto& bin : bins) std::sort(bin.begin(), bin.end());
    std::stable_sort(bins.begin(), bins.end(),
                     [&](const auto& a, const auto& b) { return cost(a) > cost(b); });
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

Bins pack_evenly(std::span<const int64_t> lengths, std::span<const double> costs, int64_t budget,
                 int64_t multiple_of) {
    VILA_CHECK_EQ(costs.size(), lengths.size(), "costs of samples to pack");
    Bins tight = pack(lengths, budget, multiple_of);
    Bins bins(tight.size());
    std::vector<int64_t> taken(bins.size(), 0);
    std::vector<double> spent(bins.size(), 0.0);
    for (const int64_t index : by_descending_cost(costs)) {
        size_t best = bins.size();
        for (size_t bin = 0; bin < bins.size(); ++bin)
            if (taken[bin] + lengths[index] <= budget &&
                (best == bins.size() || spent[bin] < spent[best]))
                best = bin;
        if (best == bins.size()) {  // only the tight packing fits
            sort_by_cost(tight, costs);
            return tight;
        }
        bins[best].push_back(index);
        taken[best] += lengths[index];
        spent[best] += costs[index];
    }
    sort_by_cost(bins, costs);
    return bins;
}

Bins group_evenly(std::span<const double> costs, int64_t size, int64_t multiple_of) {
    VILA_CHECK(size >= 1 && multiple_of >= 1, "groups of ", size, " in multiples of ", multiple_of);
    const std::vector<int64_t> order = by_descending_cost(costs);
    const auto samples = static_cast<int64_t>(order.size());
    Bins bins;
    for (int64_t begin = 0; begin < samples; begin += size * multiple_of) {
        const int64_t count = std::min(size * multiple_of, samples - begin);
        const int64_t groups = std::min(multiple_of, count);
        const auto first = static_cast<int64_t>(bins.size());
        bins.resize(bins.size() + groups);
        std::vector<double> spent(groups, 0.0);
        for (int64_t i = 0; i < count; ++i) {
            // Choose the cheapest of the groups with the fewest samples, so that counts stay equal.
            const int64_t level = i / groups;
            int64_t best = -1;
            for (int64_t g = 0; g < groups; ++g)
                if (static_cast<int64_t>(bins[first + g].size()) == level &&
                    (best < 0 || spent[g] < spent[best]))
                    best = g;
            bins[first + best].push_back(order[begin + i]);
            spent[best] += costs[order[begin + i]];
        }
    }
    for (auto& bin : bins) std::sort(bin.begin(), bin.end());
    return bins;
}

}  // namespace vila::data
