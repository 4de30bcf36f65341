// sum_squares, compared with a sum in long double.

#include <gtest/gtest.h>

#include <cmath>

#include "tensor/kernels.h"
#include "tests/support/driver.h"
#include "tests/support/guarded_device.h"

namespace vila::testing {

// Sizes around the lanes (32) and chunks (16384) of the sum. The kernel adds to the initial result.
TEST(OpSumSquares, AgreesForAnyTypeAndNumberOfThreads) {
    for (const int64_t count : {0, 1, 31, 32, 33, 1009, 16383, 16384, 16385, 40000}) {
        for (const DType dtype : {DType::F64, DType::F32, DType::BF16}) {
            const Array x = {{count}, rounded(draw_normal("x", count), dtype)};
            long double expected = 0.5;
            for (const double value : x.values) expected += (long double)(value)*value;
            for (const Isa isa : GuardedDevice::levels()) {
                double one_thread = 0.0;
                for (const int threads : {1, 2, 3}) {
                    GuardedDevice device(threads, isa);
                    const Tensor result = Tensor::full(device, {1}, DType::F64, 0.5);
                    call(device, "sum_squares", &Kernels::sum_squares,
                         {.x = make_tensor(device, x, dtype), .result = result});
                    const double got = result.item();
                    EXPECT_NEAR(got, double(expected), 1e-13 * double(expected))
                        << count << " " << dtype << ", " << device.name();
                    if (threads == 1) one_thread = got;
                    EXPECT_EQ(got, one_thread) << count << " " << dtype << ", " << device.name();
                    EXPECT_FALSE(device.damaged());
                }
            }
        }
    }
}

// Squares that overflow in f32.
TEST(OpSumSquares, SumsInDouble) {
    GuardedDevice device;
    const Array x = {{3}, {1e30, 1e-30, 1e30}};
    const Tensor result = Tensor::zeros(device, {1}, DType::F64);
    call(device, "sum_squares", &Kernels::sum_squares,
         {.x = make_tensor(device, x, DType::F32), .result = result});
    EXPECT_NEAR(result.item() / 2e60, 1.0, 1e-6);
}

}  // namespace vila::testing
