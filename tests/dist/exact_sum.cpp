// ExactSum: sums without rounding, in any order, with any signs, on any number of ranks.

#include "dist/exact_sum.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "tensor/cpu/cpu_device.h"
#include "tensor/tensor.h"
#include "tests/dist/job.h"

namespace vila::dist {
namespace {

double exact(const std::vector<double>& values) {
    ExactSum sum;
    for (const double value : values) sum.add(value);
    return sum.value();
}

TEST(ExactSum, IsExact) {
    EXPECT_EQ(exact({}), 0.0);
    EXPECT_EQ(exact({-0.0}), 0.0);
    EXPECT_EQ(exact({1e300, 1.0, -1e300}), 1.0);
    EXPECT_EQ(exact({1e-320, 3e-310, -3e-310}), 1e-320);
    EXPECT_EQ(exact({-1.5}), -1.5);
    EXPECT_EQ(exact({-1e-300, -1e300, 1e300}), -1e-300);
    EXPECT_EQ(exact({0.1, 0.2, -0.1, -0.2}), 0.0);
    const double largest = std::numeric_limits<double>::max();
    EXPECT_EQ(exact({largest, largest, -largest}), largest);
    EXPECT_EQ(exact({-largest, -largest, largest}), -largest);
}

TEST(ExactSum, InfinitiesAndNansGiveNan) {
    EXPECT_TRUE(std::isnan(exact({1.0, std::numeric_limits<double>::infinity()})));
    EXPECT_TRUE(std::isnan(exact({std::nan(""), 1.0})));
    ExactSum bad, sum;
    bad.add(std::nan(""));
    sum.add(bad);
    EXPECT_TRUE(std::isnan(sum.value()));
}

TEST(ExactSum, DoesNotDependOnOrderOrGrouping) {
    std::mt19937_64 random(5);
    std::vector<double> values;
    for (int i = 0; i < 3000; ++i)
        values.push_back(std::ldexp(static_cast<double>(random()) - 9e18,
                                    static_cast<int>(random() % 400) - 200));
    const double expected = exact(values);
    std::shuffle(values.begin(), values.end(), random);
    EXPECT_EQ(exact(values), expected);
    ExactSum total;
    for (size_t begin = 0; begin < values.size(); begin += 700) {
        ExactSum part;
        for (size_t i = begin; i < std::min(begin + 700, values.size()); ++i) part.add(values[i]);
        total.add(part);
    }
    EXPECT_EQ(total.value(), expected);
}

TEST(ExactSum, AgreesWithExtendedPrecision) {
    std::mt19937_64 random(6);
    std::normal_distribution<double> normal;
    std::vector<double> values;
    long double expected = 0.0L;
    for (int i = 0; i < 2000; ++i) {
        values.push_back(normal(random));
        expected += static_cast<long double>(values.back());
    }
    EXPECT_NEAR(exact(values), static_cast<double>(expected), 1e-13);
}

TEST(ExactSum, SquaresDoNotDependOnRanksOrSlices) {
    on_every_implementation([](Collectives& job) {
        const auto owner = job_device();
        const int64_t slice = 128, count = slice * job.ranks() + 5;
        std::vector<float> values;
        for (int64_t i = 0; i < count; ++i)
            values.push_back(
                std::ldexp(static_cast<float>(i % 97) - 48.3F, static_cast<int>(i % 61) - 30));
        const Tensor all = Tensor::from_values(*owner, {count}, values);
        ExactSum whole, part;
        add_squares({&all, 1}, whole);
        const bool last = job.rank() == job.ranks() - 1;
        const Tensor mine =
            all.slice(0, job.rank() * slice, last ? count : (job.rank() + 1) * slice);
        add_squares({&mine, 1}, part);
        sum_over_ranks(job, {&part, 1});
        EXPECT_EQ(part.value(), whole.value());
        double plain = 0.0;
        for (const float value : values)
            plain += static_cast<double>(value) * static_cast<double>(value);
        EXPECT_NEAR(whole.value() / plain, 1.0, 1e-13);
    });
}

TEST(ExactSum, SquaresDoNotDependOnOpenMpThreads) {
    const auto one = make_cpu_device(1), many = make_cpu_device(3);
    many->elements_per_thread = 64;
    std::vector<float> values;
    for (int64_t i = 0; i < 5003; ++i)
        values.push_back(
            std::ldexp(static_cast<float>(i % 89) - 40.7F, static_cast<int>(i % 53) - 26));
    ExactSum alone, threaded;
    const Tensor here = Tensor::from_values(*one, {5003}, values);
    const Tensor there = Tensor::from_values(*many, {5003}, values);
    add_squares({&here, 1}, alone);
    add_squares({&there, 1}, threaded);
    EXPECT_EQ(alone.value(), threaded.value());
}

}  // namespace
}  // namespace vila::dist
