// Tensors: shapes, views, conversions, memory accounting.

#include "tensor/tensor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/driver.h"
#include "tests/support/guarded_device.h"

namespace vila::testing {

namespace {

Tensor counted(Device& device, const Shape& shape) {
    std::vector<float> values;
    for (int64_t i = 0; i < shape.numel(); ++i) values.push_back(static_cast<float>(i));
    return Tensor::from_values(device, shape, values);
}

}  // namespace

TEST(TensorShape, CountsAndStrides) {
    EXPECT_EQ((Shape{2, 3, 4}).numel(), 24);
    EXPECT_EQ(Shape{}.numel(), 1);
    EXPECT_EQ((Shape{2, 0, 4}).numel(), 0);
    EXPECT_EQ((Shape{2, 3, 4}).row_major_strides(), (Shape{12, 4, 1}));
    EXPECT_EQ((Shape{2, 3, 4})[-1], 4);
    EXPECT_EQ(expect_error("axis 3 does not exist in shape (2, 3, 4)",
                           [] {
                               const Shape shape = {2, 3, 4};
                               static_cast<void>(shape[3]);
                           }),
              "");
    EXPECT_EQ(expect_error("does not fit", [] { Shape({1LL << 40, 1LL << 40}).numel(); }), "");
    EXPECT_EQ(expect_error("at most 8 axes", [] { Shape({1, 1, 1, 1, 1, 1, 1, 1, 1}); }), "");
}

TEST(TensorViews, ShareMemory) {
    GuardedDevice device;
    const Tensor x = counted(device, {3, 4});
    EXPECT_EQ(x.transpose(0, 1).to_vector<double>(),
              (std::vector<double>{0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11}));
    EXPECT_EQ(x.slice(1, 1, 3).to_vector<double>(), (std::vector<double>{1, 2, 5, 6, 9, 10}));
    EXPECT_EQ(x.slice(0, 1, 2).reshape({2, 2}).to_vector<double>(),
              (std::vector<double>{4, 5, 6, 7}));
    x.slice(1, 1, 3).fill(-1.0);
    EXPECT_EQ(x.to_vector<double>(),
              (std::vector<double>{0, -1, -1, 3, 4, -1, -1, 7, 8, -1, -1, 11}));
    EXPECT_EQ(
        expect_error("reshape needs a contiguous tensor", [&] { x.transpose(0, 1).reshape({12}); }),
        "");
    EXPECT_EQ(expect_error("reshape (3, 4) to (5, 2): elements: expected 12, got 10",
                           [&] {
                               x.reshape({5, 2});
                           }),
              "");
    EXPECT_EQ(expect_error("slice [2, 5) of axis 1 of shape (3, 4) is out of range",
                           [&] { x.slice(1, 2, 5); }),
              "");
    EXPECT_FALSE(device.damaged());
}

TEST(TensorViews, KeepTheirMemoryAlive) {
    GuardedDevice device;
    Tensor view;
    {
        const Tensor x = counted(device, {100});
        view = x.slice(0, 50, 51);
        EXPECT_EQ(x.use_count(), 2);
    }
    EXPECT_EQ(view.item(), 50.0);
    EXPECT_EQ(device.memory().live, 400);
    view = Tensor();
    EXPECT_EQ(device.memory().live, 0);
    EXPECT_EQ(device.memory().peak, 400);
    device.reset_peak();
    EXPECT_EQ(device.memory().peak, 0);
}

TEST(TensorCopy, ConvertsBetweenAnyTwoDtypes) {
    GuardedDevice device(2);
    constexpr DType kAll[] = {DType::F64, DType::F32, DType::BF16, DType::F16,
                              DType::I64, DType::I32, DType::U8};
    for (const int64_t count : {0, 1, 7, 33, 131}) {
        const Tensor x = counted(device, {count});
        for (const DType from : kAll)
            for (const DType to : kAll)
                EXPECT_EQ(x.to(from).to(to).to_vector<double>(), x.to_vector<double>())
                    << from << " to " << to;
    }
    EXPECT_FALSE(device.damaged());
}

TEST(TensorCopy, RoundsToNearestEven) {
    GuardedDevice device;
    const float inf = std::numeric_limits<float>::infinity();
    const auto convert = [&](DType dtype, const std::vector<float>& values) {
        return Tensor::from_values(device, {static_cast<int64_t>(values.size())}, values)
            .to(dtype)
            .to_vector<double>();
    };
    // bf16 has 8 significant bits: between 256 and 512 its spacing is 2. Ties go to the even
    // neighbor.
    EXPECT_EQ(convert(DType::BF16, {257, 259, 257.01F, -257, 3.4e38F, inf}),
              (std::vector<double>{256, 260, 258, -256, inf, inf}));
    // f16 has 11 significant bits: between 2048 and 4096 its spacing is 2.
    EXPECT_EQ(convert(DType::F16, {2049, 2051, 65504, 65519, 65520, 0x1p-24F, 0x1p-26F}),
              (std::vector<double>{2048, 2052, 65504, 65504, inf, 0x1p-24, 0}));
    const float nan = std::numeric_limits<float>::quiet_NaN();
    EXPECT_TRUE(std::isnan(convert(DType::BF16, {nan})[0]));
    EXPECT_TRUE(std::isnan(convert(DType::F16, {nan})[0]));
    EXPECT_TRUE(std::signbit(convert(DType::BF16, {-0.0F})[0]));
}

TEST(TensorCopy, CopiesAcrossStrides) {
    GuardedDevice device(3);
    for (const DType dtype : {DType::F32, DType::BF16}) {
        const Tensor x = counted(device, {5, 6, 7}).to(dtype);
        const Tensor y = Tensor::zeros(device, {7, 5, 6}, DType::F64);
        y.transpose(0, 1).transpose(1, 2).copy_from(x);
        const auto got = y.to_vector<double>();
        for (int64_t i = 0; i < 5 * 6 * 7; ++i)
            ASSERT_EQ(got[static_cast<size_t>((i % 7) * 30 + i / 7)], x.to_vector<double>()[i]);
    }
    EXPECT_EQ(expect_error("[copy] shape of the source: expected (2), got (3)",
                           [&] {
                               Tensor::zeros(device, {2}, DType::F32)
                                   .copy_from(Tensor::zeros(device, {3}, DType::F32));
                           }),
              "");
    EXPECT_FALSE(device.damaged());
}

TEST(TensorFill, WritesEveryElementAndNoOther) {
    for (const int threads : {1, 3}) {
        GuardedDevice device(threads);
        for (const DType dtype : {DType::F64, DType::F32, DType::BF16, DType::I64, DType::U8}) {
            for (const double value : {0.0, 3.0}) {
                const Tensor x = Tensor::empty(device, {131}, dtype);
                x.fill(value);
                EXPECT_EQ(x.to_vector<double>(), std::vector<double>(131, value));
            }
        }
        const Tensor negative = Tensor::full(device, {3}, DType::F32, -0.0);
        EXPECT_TRUE(std::signbit(negative.to_vector<double>()[0]));
        EXPECT_FALSE(device.damaged());
    }
}

TEST(TensorExternal, ReleasesItsMemoryOnce) {
    GuardedDevice device;
    float values[] = {1.0F, 2.0F};
    int released = 0;
    {
        const Tensor x =
            Tensor::from_external(device, values, {2}, DType::F32, [&] { ++released; });
        const Tensor view = x.slice(0, 1, 2);
        EXPECT_EQ(view.item(), 2.0);
        view.fill(5.0);
    }
    EXPECT_EQ(released, 1);
    EXPECT_EQ(values[1], 5.0F);
}

TEST(Tensor, RefusesWrongElementTypes) {
    GuardedDevice device;
    const Tensor x = Tensor::zeros(device, {2}, DType::BF16);
    EXPECT_EQ(expect_error("element type of a tensor of shape (2): expected f32, got bf16",
                           [&] { static_cast<void>(x.data<float>()); }),
              "");
    EXPECT_EQ(expect_error("elements for item(): expected 1, got 2", [&] { x.item(); }), "");
    EXPECT_EQ(expect_error("extents must not be negative",
                           [&] {
                               Tensor::empty(device, {2, -1}, DType::F32);
                           }),
              "");
}

}  // namespace vila::testing
