// patchify, compared with its definition.

#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "tests/support/driver.h"
#include "tests/support/guarded_device.h"

namespace vila::testing {

namespace {

// Returns the same values in the order of the patches.
Array reference(const Array& pixels, int64_t P) {
    const int64_t B = pixels.shape[0], height = pixels.shape[2], width = pixels.shape[3];
    const int64_t rows = height / P, columns = width / P;
    Array patches = Array::of({B * rows * columns, 3 * P * P});
    for (int64_t b = 0; b < B; ++b)
        for (int64_t c = 0; c < 3; ++c)
            for (int64_t y = 0; y < rows * P; ++y)
                for (int64_t x = 0; x < columns * P; ++x) {
                    const int64_t patch = (b * rows + y / P) * columns + x / P;
                    patches[patch * 3 * P * P + c * P * P + y % P * P + x % P] =
                        pixels[((b * 3 + c) * height + y) * width + x];
                }
    return patches;
}

}  // namespace

// No gradient flows to pixels, so this test does not use the driver.
TEST(OpPatchify, Agrees) {
    // B, height, width, P.
    const std::vector<Sizes> sizes = {{0, 4, 4, 2},    {1, 1, 1, 1},   {2, 6, 4, 2},
                                      {1, 7, 9, 3},    {3, 14, 15, 7}, {1, 5, 5, 5},
                                      {1, 28, 42, 14}, {2, 33, 16, 16}};
    for (const Sizes& n : sizes) {
        const Shape shape = {n[0], 3, n[1], n[2]};
        const Array pixels = {shape, rounded(draw_normal("pixels", shape.numel()), DType::BF16)};
        const Array expected = reference(pixels, n[3]);
        for (const DType dtype : {DType::F64, DType::F32, DType::BF16}) {
            for (const int threads : {1, 3}) {
                GuardedDevice device(threads);
                const Array got =
                    to_array(autograd::patchify(make_tensor(device, pixels, dtype), n[3]));
                EXPECT_EQ(got.shape, expected.shape);
                EXPECT_EQ(got.values, expected.values);
                EXPECT_FALSE(device.damaged());
            }
        }
    }
}

TEST(OpPatchify, RefusesImagesSmallerThanAPatch) {
    GuardedDevice device;
    const Tensor pixels = Tensor::zeros(device, {1, 3, 13, 20}, DType::F32);
    EXPECT_EQ(expect_error("[patchify] pixels have shape (1, 3, 13, 20): expected at least one "
                           "patch of 14 x 14",
                           [&] { autograd::patchify(pixels, 14); }),
              "");
}

}  // namespace vila::testing
