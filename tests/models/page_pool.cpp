// PagePool: counts of users, sharing of equal beginnings, and reuse of pages.

#include "models/page_pool.h"

#include <gtest/gtest.h>

#include "tensor/kernels.h"

namespace vila::models {
namespace {

// Returns the keys of a prompt of `rows` rows. From row `same` on, they depend on `other`.
std::vector<RowKey> keys(int64_t rows, int64_t same = 0, RowKey other = 1) {
    std::vector<RowKey> result;
    for (int64_t row = 0; row < rows; ++row)
        result.push_back(static_cast<RowKey>(row < same ? row + 1 : 1000 * other + row));
    return result;
}

TEST(PagePool, PagesComeBack) {
    PagePool pool(4);
    const auto first = pool.take({}, 3, {});
    ASSERT_EQ(first.size(), 3U);
    EXPECT_TRUE(pool.take({}, 2, {}).empty()) << "one page is free";
    EXPECT_EQ(pool.stats().used, 3);
    const auto second = pool.take({}, 1, {});
    EXPECT_EQ(pool.stats().free, 0);
    pool.release(first);
    pool.release(second);
    EXPECT_EQ(pool.stats().free, 4);
    EXPECT_EQ(pool.take({}, 4, {}).size(), 4U);
}

TEST(PagePool, FindsWholePagesThatAreFilled) {
    PagePool pool(8);
    const auto prompt = keys(3 * kPageRows + 5, 3 * kPageRows + 5);
    const auto pages = pool.take({}, 4, prompt);
    EXPECT_TRUE(pool.find(prompt).pages.empty());
    EXPECT_TRUE(pool.find(prompt).pending);
    pool.set_filled(pages, 2 * kPageRows + 9);
    EXPECT_EQ(pool.find(prompt).pages, std::vector<int32_t>(pages.begin(), pages.begin() + 2));
    EXPECT_TRUE(pool.find(prompt).pending);
    pool.set_filled(pages, 3 * kPageRows + 5);
    const PagePool::Prefix whole = pool.find(prompt);
    EXPECT_EQ(whole.pages, std::vector<int32_t>(pages.begin(), pages.begin() + 3));
    EXPECT_FALSE(whole.pending) << "the last page is not whole";
    // A prompt that differs in the last row of the second page.
    const auto other = keys(3 * kPageRows, 2 * kPageRows - 1);
    EXPECT_EQ(pool.find(other).pages.size(), 1U);
    EXPECT_FALSE(pool.find(other).pending);
    // The second page alone is not found: what comes before it differs.
    const std::vector<RowKey> moved(prompt.begin() + kPageRows, prompt.begin() + 2 * kPageRows);
    EXPECT_TRUE(pool.find(moved).pages.empty());
}

TEST(PagePool, SharedPagesCountOnce) {
    PagePool pool(6);
    const auto prompt = keys(2 * kPageRows + 1, 2 * kPageRows + 1);
    const auto first = pool.take({}, 3, prompt);
    pool.set_filled(first, 2 * kPageRows + 1);
    const auto second = pool.take(pool.find(prompt).pages, 1, prompt);
    EXPECT_EQ(pool.stats().used, 4);
    EXPECT_EQ(pool.stats().shared, 2);
    pool.release(first);
    EXPECT_EQ(pool.stats().used, 3);
    EXPECT_EQ(pool.stats().shared, 0);
    pool.release(second);
    EXPECT_EQ(pool.stats().free, 6);
}

TEST(PagePool, UnusedPagesStayFindableUntilNeeded) {
    PagePool pool(3);
    const auto prompt = keys(2 * kPageRows, 2 * kPageRows);
    const auto pages = pool.take({}, 2, prompt);
    pool.set_filled(pages, 2 * kPageRows);
    pool.release(pages);
    EXPECT_EQ(pool.find(prompt).pages, pages);
    const auto other = pool.take({}, 2, keys(2 * kPageRows, 0, 2));  // takes the second page
    ASSERT_EQ(other.size(), 2U);
    EXPECT_EQ(pool.find(prompt).pages, std::vector<int32_t>{pages[0]});
    // A page in use is not taken: one of three is left.
    const auto again = pool.take(pool.find(prompt).pages, 0, prompt);
    EXPECT_TRUE(pool.take({}, 1, {}).empty());
    pool.release(again);
    EXPECT_EQ(pool.take({}, 1, {}), std::vector<int32_t>{pages[0]});
    EXPECT_TRUE(pool.find(prompt).pages.empty());
}

TEST(PagePool, UnfilledPagesAreForgotten) {
    PagePool pool(2);
    const auto prompt = keys(2 * kPageRows, 2 * kPageRows);
    const auto pages = pool.take({}, 2, prompt);
    pool.set_filled(pages, kPageRows);
    pool.release(pages);
    const PagePool::Prefix prefix = pool.find(prompt);
    EXPECT_EQ(prefix.pages, std::vector<int32_t>{pages[0]});
    EXPECT_FALSE(prefix.pending);
}

TEST(PagePool, RowsWithoutAKeyAreNotShared) {
    PagePool pool(2);
    auto prompt = keys(2 * kPageRows, 2 * kPageRows);
    prompt[kPageRows + 3] = 0;
    const auto pages = pool.take({}, 2, prompt);
    pool.set_filled(pages, 2 * kPageRows);
    EXPECT_EQ(pool.find(prompt).pages, std::vector<int32_t>{pages[0]});
}

}  // namespace
}  // namespace vila::models
