#include "data/loader/mixture.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <set>

#include "tests/support/text_helpers.h"

namespace vila::data {
namespace {

std::vector<int64_t> order_of(const Permutation& permutation, int64_t size) {
    std::vector<int64_t> order;
    for (int64_t i = 0; i < size; ++i) order.push_back(permutation(i));
    return order;
}

TEST(Permutation, VisitsEachValueOnce) {
    for (const int64_t size : {1, 2, 3, 4, 5, 7, 16, 17, 100, 1009, 65536, 65537}) {
        for (const uint64_t key : {0u, 1u, 99u}) {
            const Permutation permutation(size, key);
            std::vector<bool> seen(size);
            for (int64_t i = 0; i < size; ++i) {
                const int64_t index = permutation(i);
                ASSERT_TRUE(index >= 0 && index < size && !seen[index]) << size << " " << i;
                seen[index] = true;
            }
        }
    }
    const Permutation huge(int64_t{1} << 40, 5);
    std::set<int64_t> seen;
    for (int64_t i = 0; i < 1000; ++i) seen.insert(huge((int64_t{1} << 40) - 1 - i));
    EXPECT_EQ(seen.size(), 1000u);
}

TEST(Permutation, LooksRandom) {
    constexpr int64_t kSize = 10007;
    const auto order = order_of(Permutation(kSize, 3), kSize);
    EXPECT_NE(order, order_of(Permutation(kSize, 4), kSize));
    // The correlations of position and value, and of nearby values, are below three standard
    // deviations.
    const auto correlation = [&](int64_t lag) {
        double sum = 0;
        const double mean = (kSize - 1) / 2.0, variance = (double{kSize} * kSize - 1) / 12;
        for (int64_t i = 0; i < kSize; ++i) {
            const auto other = static_cast<double>(lag == 0 ? i : order[(i + lag) % kSize]);
            sum += (static_cast<double>(order[i]) - mean) * (other - mean);
        }
        return std::abs(sum / variance / kSize);
    };
    for (const int64_t lag : {0, 1, 2, 100, 101}) EXPECT_LT(correlation(lag), 0.03) << lag;
    // Every value of a small permutation comes first for some key.
    std::set<int64_t> first;
    for (uint64_t key = 0; key < 100; ++key) first.insert(Permutation(5, key)(0));
    EXPECT_EQ(first.size(), 5u);
}

TEST(Mixture, SharesAreExact) {
    const std::vector<double> weights = {1, 3, 4, 0.5, 7.5};
    const Mixture mixture({10, 20, 30, 40, 50}, weights, 1);
    std::vector<int64_t> counts(5);
    for (int64_t position = 0; position < 3200; ++position) {
        for (int32_t s = 0; s < 5; ++s) ASSERT_EQ(mixture.count_before(position, s), counts[s]);
        ++counts[mixture.at(position).source];
        for (int32_t s = 0; s < 5; ++s) {
            const double ideal = static_cast<double>(position + 1) * weights[s] / 16;
            ASSERT_NEAR(static_cast<double>(counts[s]), ideal, 3.0) << position;
        }
    }
    for (int32_t s = 0; s < 5; ++s)
        EXPECT_EQ(counts[s], static_cast<int64_t>(3200 * weights[s] / 16));
    const int64_t far = int64_t{1} << 45;
    EXPECT_EQ(mixture.count_before(far, 2), far / 4);
    const Mixture thirds({1, 1, 1}, {2, 2, 2}, 0);
    for (int32_t s = 0; s < 3; ++s) EXPECT_EQ(thirds.count_before(3000000000000, s), 1000000000000);
}

TEST(Mixture, EpochOfASourceVisitsEachRecordOnce) {
    const Mixture mixture({7, 100}, {2, 1}, 5);
    std::vector<std::vector<int64_t>> visits(2);
    for (int64_t position = 0; position < 600; ++position) {
        const SampleAddress address = mixture.at(position);
        visits[address.source].push_back(address.index);
    }
    for (int32_t source = 0; source < 2; ++source) {
        const size_t size = source == 0 ? 7 : 100;
        std::set<std::vector<int64_t>> orders;
        for (size_t begin = 0; begin + size <= visits[source].size(); begin += size) {
            const std::vector<int64_t> epoch(visits[source].begin() + begin,
                                             visits[source].begin() + begin + size);
            EXPECT_EQ(std::set<int64_t>(epoch.begin(), epoch.end()).size(), size);
            orders.insert(epoch);
        }
        EXPECT_GT(orders.size(), 1u) << "epochs have orders of their own";
    }
}

TEST(Mixture, DependsOnlyOnTheSeed) {
    const Mixture a({50, 60}, {1, 2}, 7), b({50, 60}, {10, 20}, 7), c({50, 60}, {1, 2}, 8);
    int64_t differences = 0;
    for (int64_t position = 999; position >= 0; --position) {
        EXPECT_EQ(a.at(position), b.at(position));
        differences += a.at(position) == c.at(position) ? 0 : 1;
    }
    EXPECT_GT(differences, 900);
}

TEST(Mixture, ReplacementsAreTheNextRecordsOfTheSource) {
    const Mixture mixture({5, 9}, {1, 1}, 3);
    for (int64_t position = 0; position < 40; ++position)
        for (int64_t attempt = 1; attempt < 4; ++attempt)
            EXPECT_EQ(mixture.replacement(position, attempt), mixture.at(position + 2 * attempt));
}

TEST(Mixture, SingleSource) {
    const Mixture mixture({3}, {0.1}, 0);
    EXPECT_EQ(mixture.samples_per_epoch(), 3);
    std::set<int64_t> seen;
    for (int64_t i = 0; i < 3; ++i) seen.insert(mixture.at(i).index);
    EXPECT_EQ(seen.size(), 3u);
    EXPECT_EQ(Mixture({3, 4}, {1, 1}, 0).samples_per_epoch(), 7);
    // A share too small to be exact still occurs, and does not change the other shares.
    const Mixture uneven({3, 4}, {1e-30, 1}, 0);
    EXPECT_EQ(uneven.count_before(int64_t{1} << 29, 0), 0);
    EXPECT_EQ(uneven.count_before((int64_t{1} << 29) + 1, 0), 1);
}

TEST(Mixture, Errors) {
    EXPECT_EQ(message_of([] { Mixture({}, {}, 0); }),
              "a mixture of no sources: expected at least one");
    EXPECT_EQ(message_of([] {
                  Mixture({1}, {1, 2}, 0);
              }),
              "weights of a mixture: expected 1, got 2");
    EXPECT_EQ(message_of([] {
                  Mixture({1, 0}, {1, 2}, 0);
              }),
              "source 1 of the mixture has no records");
    for (const double weight : {0.0, -1.0, std::nan(""), HUGE_VAL})
        EXPECT_NE(message_of([&] { Mixture({1}, {weight}, 0); }).find("expected a number above 0"),
                  std::string::npos);
    EXPECT_EQ(message_of([] { Mixture({1}, {1}, 0).at(-1); }), "sample -1 of a mixture");
}

}  // namespace
}  // namespace vila::data
