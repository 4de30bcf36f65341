// Tests the functions of cuda/ptx.h bit for bit. On the emulated machine this tests their
// emulation; on a GPU it shows that the emulation is right.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/cuda/ptx_kernel.h"
#include "tests/support/driver.h"
#include "tests/support/guarded_device.h"

namespace vila::testing {

namespace {

constexpr int64_t kSide = 16;

// Small integers: their products and sums are exact in any order.
Array integers(const char* name) {
    Array array = {{kSide, kSide}, draw_normal(name, kSide * kSide, 4.0)};
    for (double& value : array.values) value = std::round(value);
    return array;
}

class CudaPtx : public ::testing::Test {
  protected:
    GuardedDevice guarded;
    Device& device = guarded;
    cuda::CudaDevice& gpu = static_cast<cuda::CudaDevice&>(device);
};

}  // namespace

TEST_F(CudaPtx, CopiesAndMultipliesMatrices) {
    const Array a = integers("a"), b = integers("b"), c = integers("c");
    for (const bool transposed : {false, true}) {
        const Tensor result = make_tensor(device, c, DType::F32);
        const Tensor copied = Tensor::empty(device, {kSide, kSide}, DType::BF16);
        multiply_with_ptx(gpu, make_tensor(device, a, DType::BF16),
                          make_tensor(device, b, DType::BF16), transposed, result, copied);
        const Array got = to_array(result), rows = to_array(copied);
        for (int64_t i = 0; i < kSide; ++i) {
            for (int64_t j = 0; j < kSide; ++j) {
                const bool real = i < kSide - 1;
                EXPECT_EQ(rows[i * kSide + j], real ? a[i * kSide + j] : 0.0);
                double expected = c[i * kSide + j];
                for (int64_t k = 0; k < kSide && real; ++k)
                    expected += a[i * kSide + k] * b[transposed ? j * kSide + k : k * kSide + j];
                EXPECT_EQ(got[i * kSide + j], expected) << i << ", " << j << ", " << transposed;
            }
        }
    }
    EXPECT_FALSE(guarded.damaged());
}

TEST_F(CudaPtx, RoundsToBf16LikeTheHost) {
    std::vector<float> x = {
        1.0F,          -0.0F,   0x1.01p0F, 0x1.03p0F,
        0x1.010002p0F, 3.4e38F, 1e-40F,    std::numeric_limits<float>::infinity()};
    for (const double value : draw_normal("x", 120)) x.push_back(static_cast<float>(value));
    const Tensor packed = Tensor::empty(device, {int64_t(x.size())}, DType::BF16);
    pack_with_ptx(gpu, Tensor::from_values(device, packed.shape(), x), packed);
    const std::vector<float> got = packed.to_vector<float>();
    for (size_t i = 0; i < x.size(); ++i)
        EXPECT_EQ(got[i], static_cast<float>(BFloat16(x[i]))) << x[i];
}

}  // namespace vila::testing
