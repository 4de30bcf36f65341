// Compares tensor/cpu/vector_math.h with the double functions of the standard library, over ranges
// that include every special case, compiled for each instruction set this machine has.

#include "tensor/cpu/vector_math.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "tensor/random.h"

namespace vila::cpu_kernels {

namespace {

struct Range {
    float low, high;
    double relative, absolute;  // an element passes if it is within either
};

// Returns evenly spread points, and points close to zero.
std::vector<float> points(const Range& range) {
    constexpr int kCount = 200001;
    std::vector<float> x;
    for (int i = 0; i < kCount; ++i) {
        x.push_back(range.low + (range.high - range.low) * static_cast<float>(i) / (kCount - 1));
        const double tiny = std::exp(40.0 * random_uniform(7, static_cast<uint64_t>(i)) - 36.0);
        const auto near = static_cast<float>(i % 2 == 0 ? tiny : -tiny);
        if (near >= range.low && near <= range.high) x.push_back(near);
    }
    return x;
}

template <typename Function>
void expect_close(const char* name, const Range& range, const Function& function) {
    const std::vector<float> x = points(range);
    for (const Isa isa : {Isa::Baseline, Isa::Avx2, Isa::Avx512}) {
        if (isa > detect_isa()) continue;
        std::vector<float> y(x.size());
        const float* x_data = x.data();
        float* y_data = y.data();
        const size_t count = x.size();
        with_isa(isa, [=] {
            for (size_t i = 0; i < count; ++i) y_data[i] = function(x_data[i]);
        });
        for (size_t i = 0; i < count; ++i) {
            const double expected = function(static_cast<double>(x[i]));
            const double error = std::fabs(static_cast<double>(y[i]) - expected);
            ASSERT_TRUE(error <= range.relative * std::fabs(expected) || error <= range.absolute)
                << name << "(" << x[i] << ") on " << isa_name(isa) << ": expected " << expected
                << ", got " << y[i];
        }
    }
}

TEST(VectorMath, IsAccurate) {
    expect_close("exp", {-87.0F, 88.7F, 1e-7, 0}, [](auto x) { return vector_math::exp(x); });
    expect_close("exp", {-120.0F, -87.0F, 0, 0x1p-149}, [](auto x) { return vector_math::exp(x); });
    expect_close("tanh", {-12.0F, 12.0F, 2e-7, 0}, [](auto x) { return vector_math::tanh(x); });
    expect_close("sigmoid", {-87.0F, 100.0F, 2e-7, 0},
                 [](auto x) { return vector_math::sigmoid(x); });
    expect_close("normal_pdf", {-4.0F, 4.0F, 4e-7, 0},
                 [](auto x) { return vector_math::normal_pdf(x); });
    expect_close("normal_cdf", {-2.0F, 12.0F, 6e-7, 0},
                 [](auto x) { return vector_math::normal_cdf(x); });
    expect_close("normal_cdf", {-12.0F, -2.0F, 5e-6, 0},
                 [](auto x) { return vector_math::normal_cdf(x); });
}

TEST(VectorMath, KeepsSpecialValues) {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    const float nan = std::numeric_limits<float>::quiet_NaN();
    EXPECT_EQ(vector_math::exp(0.0F), 1.0F);
    EXPECT_EQ(vector_math::exp(-kInfinity), 0.0F);
    EXPECT_EQ(vector_math::exp(kInfinity), kInfinity);
    EXPECT_EQ(vector_math::exp(89.0F), kInfinity);
    EXPECT_EQ(vector_math::exp(-1e30F), 0.0F);
    EXPECT_EQ(vector_math::tanh(kInfinity), 1.0F);
    EXPECT_EQ(vector_math::tanh(-kInfinity), -1.0F);
    EXPECT_TRUE(std::signbit(vector_math::tanh(-0.0F)));
    EXPECT_EQ(vector_math::sigmoid(-kInfinity), 0.0F);
    EXPECT_EQ(vector_math::sigmoid(kInfinity), 1.0F);
    EXPECT_EQ(vector_math::normal_cdf(-kInfinity), 0.0F);
    EXPECT_EQ(vector_math::normal_cdf(kInfinity), 1.0F);
    for (const float bad : {nan, -nan}) {
        EXPECT_TRUE(std::isnan(vector_math::exp(bad)));
        EXPECT_TRUE(std::isnan(vector_math::tanh(bad)));
        EXPECT_TRUE(std::isnan(vector_math::sigmoid(bad)));
        EXPECT_TRUE(std::isnan(vector_math::normal_cdf(bad)));
    }
}

}  // namespace

}  // namespace vila::cpu_kernels
