#include "data/packer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tests/text_helpers.h"

namespace vila::data {
namespace {

using Bins = std::vector<std::vector<int64_t>>;

// Every sample once, no bin over the budget, none empty, ascending within, fullest first.
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
    // The fullest bin that takes a sample gets it: 3 goes beside 7, not beside 6.
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
        // Any two bins of a best fit hold more than the budget together.
        if (multiple_of == 1) {
            EXPECT_LE(static_cast<int64_t>(bins.size()), 2 * total / budget + 1);
        }
    }
}

TEST(Packer, RanksGetOneBinEach) {
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

}  // namespace
}  // namespace vila::data
