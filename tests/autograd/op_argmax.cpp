// argmax, compared with a linear search.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tensor/kernels.h"
#include "tests/support/driver.h"
#include "tests/support/guarded_device.h"

namespace vila::testing {

namespace {

std::vector<int32_t> argmax(Device& device, const Array& x, DType dtype) {
    const Tensor index = Tensor::full(device, {x.shape[0]}, DType::I32, -1.0);
    call(device, "argmax", &Kernels::argmax, {.x = make_tensor(device, x, dtype), .index = index});
    return index.to_vector<int32_t>();
}

}  // namespace

TEST(OpArgmax, FindsTheFirstMaximum) {
    for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{0, 3},
                                        {1, 1},
                                        {3, 33},
                                        {2, 511},
                                        {2, 512},
                                        {1, 513},
                                        {5, 1031}})
        for (const DType dtype : {DType::F32, DType::BF16, DType::F64})
            for (const int threads : {1, 2, 3}) {
                GuardedDevice device(threads);
                // Few different numbers, so that most rows have several maxima.
                Array x = {{rows, columns}, draw_normal("x", rows * columns)};
                for (double& value : x.values) value = std::round(value * 2.0);
                std::vector<int32_t> expected;
                for (int64_t r = 0; r < rows; ++r) {
                    const auto begin = x.values.begin() + r * columns;
                    expected.push_back(
                        static_cast<int32_t>(std::max_element(begin, begin + columns) - begin));
                }
                EXPECT_EQ(argmax(device, x, dtype), expected)
                    << rows << " x " << columns << " " << dtype << ", " << device.name();
                EXPECT_FALSE(device.damaged());
            }
}

TEST(OpArgmax, IgnoresNansAndFindsNothingAmongThem) {
    GuardedDevice device;
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const double infinity = std::numeric_limits<double>::infinity();
    const Array x = {{5, 3},
                     {nan, 1.0, 2.0, 5.0, nan, 2.0, nan, nan, nan, -infinity, -infinity, -infinity,
                      -1.0, infinity, infinity}};
    EXPECT_EQ(argmax(device, x, DType::F32), (std::vector<int32_t>{2, 0, -1, -1, 1}));
}

}  // namespace vila::testing
