// copy between any two dtypes, and fill, on the device under test.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tensor/cpu/cpu_device.h"
#include "tests/support/driver.h"
#include "tests/support/guarded_device.h"

namespace vila::testing {

namespace {

constexpr DType kDTypes[] = {DType::F64, DType::F32, DType::BF16, DType::F16,
                             DType::I64, DType::I32, DType::U8};

// Ties, values at and beyond the limits of bf16 and f16, subnormals, and NaNs.
std::vector<double> difficult_numbers() {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    return {0.0,     -0.0,        1.0,        0x1.01p0,   0x1.03p0,  0x1.002p0,    0x1.006p0,
            65504.0, 65519.0,     65520.0,    -65536.0,   0x1p-14,   0x1.ffcp-15,  0x1p-24,
            0x1p-25, 0x1.8p-25,   -0x1.8p-24, 0x1p-26,    0x1p127,   0x1.ffffp127, 1e-40,
            1e30,    -0x1.fep-15, kInfinity,  -kInfinity, 1.0 / 3.0, std::nan(""), -7.25};
}

// Returns a tensor of this dtype with difficult numbers, or with small multiples of 9 if it holds
// integers.
Tensor host_tensor(Device& cpu, DType dtype) {
    std::vector<double> values = difficult_numbers();
    if (!is_floating(dtype))
        for (size_t i = 0; i < values.size(); ++i) values[i] = double(i * 9);
    return Tensor::from_values(cpu, {int64_t(values.size())}, values).to(dtype);
}

}  // namespace

TEST(OpCopy, ConvertsAsTheCpuDoes) {
    const auto cpu = make_cpu_device(1);
    GuardedDevice device;
    for (const DType from : kDTypes) {
        for (const DType to : kDTypes) {
            // Values beyond the range of an integer have no defined result.
            if (is_floating(from) && !is_floating(to)) continue;
            const Tensor x = host_tensor(*cpu, from);
            const auto expected = x.to(to).to_vector<double>();
            const auto got = x.to(device).to(to).to_vector<double>();
            ASSERT_EQ(got.size(), expected.size());
            for (size_t i = 0; i < got.size(); ++i)
                EXPECT_TRUE(got[i] == expected[i] ||
                            (std::isnan(got[i]) && std::isnan(expected[i])))
                    << from << " to " << to << ", element " << i << ": " << got[i] << ", expected "
                    << expected[i];
        }
    }
    EXPECT_FALSE(device.damaged());
}

TEST(OpCopy, FillsEveryDType) {
    GuardedDevice device;
    for (const DType dtype : kDTypes) {
        const Tensor whole = Tensor::full(device, {3, 5}, dtype, 3.0);
        whole.slice(1, 1, 4).fill(7.0);
        EXPECT_EQ(whole.to_vector<double>(),
                  (std::vector<double>{3, 7, 7, 7, 3, 3, 7, 7, 7, 3, 3, 7, 7, 7, 3}))
            << dtype;
    }
    EXPECT_FALSE(device.damaged());
}

}  // namespace vila::testing
