#include "data/loader/packer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tests/support/text_helpers.h"

namespace vila::data {
namespace {

using Bins = std::vector<std::vector<int64_t>>;

// Expects every sample once, no bin over the budget or empty, ascending indices within bins, and
// the fullest bin first.
void expect_valid(const Bins& bins, const std::vector<int64_t>& lengths, int64_t budget,
                  int64_t multiple_of) {
    std::vector<int64_t> all;
    int64_t previous = budget;
    for (const auto& bin : bins) {
        ASSERT_FALSE(bin.empty());
        int64_t load = 0;
        for (const int64_t index : bin) load += lengths[index];
        EXPECT_LE(load, previous);
        previous = load;
        EXPECT_TRUE(std::is_sorted(bin.begin(), bin.end()));
        all.insert(all.end(), bin.begin(), bin.end());
    }
    std::sort(all.begin(), all.end());
    ASSERT_EQ(all.size(), lengths.size());
    for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i], static_cast<int64_t>(i));
    EXPECT_EQ(static_cast<int64_t>(bins.size()) % multiple_of, 0);
}

TEST(Packer, BestFitDecreasing) {
    const std::vector<int64_t> lengths = {5, 7, 3, 5, 4, 6};
    EXPECT_EQ(pack(lengths, 10), (Bins{{1, 2}, {4, 5}, {0, 3}}));
    EXPECT_EQ(pack(std::vector<int64_t>{}, 10), Bins{});
    EXPECT_EQ(pack(std::vector<int64_t>{10}, 10), Bins{{0}});
    EXPECT_EQ(pack(std::vector<int64_t>{0, 0}, 0), (Bins{{0, 1}}));
    // A sample goes into the fullest bin with room for it: 3 goes with 7, not with 6.
    EXPECT_EQ(pack(std::vector<int64_t>{6, 7, 3}, 10), (Bins{{1, 2}, {0}}));
}

TEST(Packer, RandomLengths) {
    std::mt19937 source(9);
    for (int round = 0; round < 300; ++round) {
        const int64_t multiple_of = 1 + source() % 4;
        const int64_t budget = 1 + source() % 97;
        std::vector<int64_t> lengths(multiple_of * (1 + source() % 20));
        int64_t total = 0;
        for (int64_t& length : lengths) total += length = source() % (budget + 1);
        const Bins bins = pack(lengths, budget, multiple_of);
        expect_valid(bins, lengths, budget, multiple_of);
        EXPECT_EQ(bins, pack(lengths, budget, multiple_of));
        // Any two bins of best fit together hold more than the budget.
        if (multiple_of == 1) {
            EXPECT_LE(static_cast<int64_t>(bins.size()), 2 * total / budget + 1);
        }
    }
}

TEST(Packer, MakesAMultipleOfTheRanks) {
    EXPECT_EQ(pack(std::vector<int64_t>{1, 2, 3, 4}, 10, 4), (Bins{{3}, {2}, {1}, {0}}));
    expect_valid(pack(std::vector<int64_t>{6, 6, 6, 1, 1, 1}, 7, 2), {6, 6, 6, 1, 1, 1}, 7, 2);
}

TEST(Packer, Errors) {
    EXPECT_EQ(message_of([] {
                  pack(std::vector<int64_t>{3, 11}, 10);
              }),
              "packing a sample of 11 positions into bins of 10");
    EXPECT_EQ(message_of([] { pack(std::vector<int64_t>{1}, 10, 2); }),
              "packing 1 samples into a multiple of 2 bins: too few samples");
    EXPECT_EQ(message_of([] {
                  pack(std::vector<int64_t>{6, 6, 6}, 10, 2);
              }),
              "packing 3 samples into a multiple of 2 bins: too few samples");
    EXPECT_EQ(message_of([] { pack(std::vector<int64_t>{1}, 10, 0); }),
              "packing into a multiple of 0 bins");
}

// Samples of a step of the paper's second stage: image-text pairs and interleaved documents, with
// their costs if the vision tower is trained too.
struct Mix {
    std::vector<int64_t> lengths;
    std::vector<double> costs;
};

Mix draw_mix(int64_t samples, uint64_t seed) {
    constexpr int64_t kImage = 576, kLongest = 4096;
    std::mt19937_64 random(seed);
    Mix mix;
    for (int64_t i = 0; i < samples; ++i) {
        const bool document = random() % 2 == 0;
        const int64_t images = document ? 1 + static_cast<int64_t>(random() % 6) : 1;
        const int64_t text = document ? 100 + static_cast<int64_t>(random() % 1500)
                                      : 10 + static_cast<int64_t>(random() % 60);
        const int64_t length = std::min(kLongest, images * kImage + text);
        const auto positions = static_cast<double>(length);
        mix.lengths.push_back(length);
        mix.costs.push_back(positions * (1.0 + positions / 20000.0) +
                            300.0 * static_cast<double>(images));
    }
    return mix;
}

// Returns the time that ranks take that run adjacent bins at the same time, relative to bins of
// equal cost. Each round takes as long as its most expensive bin.
double imbalance(const Bins& bins, const std::vector<double>& costs, int64_t ranks) {
    double slowest = 0.0, total = 0.0;
    for (size_t begin = 0; begin < bins.size(); begin += ranks) {
        double most = 0.0;
        for (size_t i = begin; i < std::min(begin + ranks, bins.size()); ++i) {
            double cost = 0.0;
            for (const int64_t index : bins[i]) cost += costs[index];
            most = std::max(most, cost);
            total += cost;
        }
        slowest += most * static_cast<double>(ranks);
    }
    return slowest / total;
}

TEST(Packer, EvenBinsHaveSimilarCosts) {
    for (const int64_t ranks : {2, 4, 8, 16})
        for (uint64_t seed = 0; seed < 20; ++seed) {
            const Mix mix = draw_mix(256, seed);
            Bins bins = pack_evenly(mix.lengths, mix.costs, 8192, ranks);
            EXPECT_EQ(bins.size() % ranks, size_t{0});
            EXPECT_LE(imbalance(bins, mix.costs, ranks), 1.05) << ranks << " ranks, " << seed;
            // The bins are as valid as those of pack(), but in a different order.
            std::stable_sort(bins.begin(), bins.end(), [&](const auto& a, const auto& b) {
                const auto load = [&](const auto& bin) {
                    int64_t sum = 0;
                    for (const int64_t index : bin) sum += mix.lengths[index];
                    return sum;
                };
                return load(a) > load(b);
            });
            expect_valid(bins, mix.lengths, 8192, ranks);
        }
}

TEST(Packer, EvenGroupsHaveSimilarCosts) {
    for (const int64_t ranks : {1, 2, 4, 8}) {
        const Mix mix = draw_mix(256, 3);
        const Bins groups = group_evenly(mix.costs, 4, ranks);
        EXPECT_EQ(groups.size(), size_t{64});
        std::vector<int64_t> all;
        for (const auto& group : groups) {
            EXPECT_EQ(group.size(), size_t{4});
            EXPECT_TRUE(std::is_sorted(group.begin(), group.end()));
            all.insert(all.end(), group.begin(), group.end());
        }
        std::sort(all.begin(), all.end());
        for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i], static_cast<int64_t>(i));
        EXPECT_LE(imbalance(groups, mix.costs, ranks), 1.05) << ranks;
    }
    const std::vector<double> costs = {5, 1, 1, 1, 1, 1};
    EXPECT_EQ(group_evenly(costs, 4, 2), (Bins{{0, 3, 5}, {1, 2, 4}}));
    EXPECT_EQ(group_evenly(costs, 1, 4).size(), size_t{6});
    EXPECT_TRUE(group_evenly({}, 4, 2).empty());
}

TEST(Packer, EvenBinsFallBackToBestFit) {
    // Two bins of 10 hold the samples only as 6 + 4 and 5 + 5.
    const std::vector<int64_t> lengths = {6, 5, 5, 4};
    const std::vector<double> costs = {1, 100, 1, 100};
    const Bins bins = pack_evenly(lengths, costs, 10, 2);
    ASSERT_EQ(bins.size(), size_t{2});
    for (const auto& bin : bins) {
        int64_t load = 0;
        for (const int64_t index : bin) load += lengths[index];
        EXPECT_EQ(load, 10);
    }
}

}  // namespace
}  // namespace vila::data
