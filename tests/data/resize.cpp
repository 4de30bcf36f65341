// Compares resampling with a plain version of Pillow's algorithm below, and with digests of
// Pillow's own results (goldens/images/resize.txt), which also verify the plain version.

#include "data/image/resize.h"

#include <cmath>
#include <cstring>
#include <sstream>

#include "tensor/check.h"
#include "tests/support/image_goldens.h"

namespace vila::data {
namespace {

// Resamples one axis of an image in the plain way: double weights, 22-bit fixed point, 8-bit
// result.
Image resize_axis(const Image& image, int64_t output, Filter filter, bool along_x) {
    const int64_t input = along_x ? image.width : image.height;
    if (input == output) return image;
    const double scale = static_cast<double>(input) / static_cast<double>(output);
    const double stretch = scale > 1 ? scale : 1;
    const double support = (filter == Filter::Bicubic ? 2 : 1) * stretch;
    Image resized(along_x ? output : image.width, along_x ? image.height : output);
    for (int64_t o = 0; o < output; ++o) {
        const double center = (static_cast<double>(o) + 0.5) * scale;
        int64_t low = static_cast<int64_t>(center - support + 0.5);
        int64_t high = static_cast<int64_t>(center + support + 0.5);
        if (low < 0) low = 0;
        if (high > input) high = input;
        std::vector<double> weights;
        double sum = 0;
        for (int64_t i = low; i < high; ++i) {
            const double x = std::fabs((static_cast<double>(i) - center + 0.5) * (1 / stretch));
            double weight = 0;
            if (filter == Filter::Bilinear) {
                weight = x < 1 ? 1 - x : 0;
            } else if (x < 1) {
                weight = (1.5 * x - 2.5) * x * x + 1;
            } else if (x < 2) {
                weight = (((x - 5) * x + 8) * x - 4) * -0.5;
            }
            weights.push_back(weight);
            sum += weight;
        }
        for (int64_t other = 0; other < (along_x ? image.height : image.width); ++other) {
            for (int c = 0; c < 3; ++c) {
                int64_t total = 1 << 21;
                for (int64_t i = low; i < high; ++i) {
                    const double fixed = weights[static_cast<size_t>(i - low)] / sum * 4194304.0;
                    const int64_t weight = static_cast<int64_t>(fixed + (fixed < 0 ? -0.5 : 0.5));
                    total += weight * (along_x ? image.at(i, other) : image.at(other, i))[c];
                }
                const int64_t value = total >> 22;
                (along_x ? resized.at(o, other) : resized.at(other, o))[c] =
                    static_cast<uint8_t>(value < 0     ? 0
                                         : value > 255 ? 255
                                                       : value);
            }
        }
    }
    return resized;
}

Image plain_resize(const Image& image, int64_t width, int64_t height, Filter filter) {
    const bool rows_first =
        image.height > height && image.height - height > 2 * (image.width - width);  // Pillow 13
    if (rows_first)
        return resize_axis(resize_axis(image, height, filter, false), width, filter, true);
    return resize_axis(resize_axis(image, width, filter, true), height, filter, false);
}

void expect_same(const Image& actual, const Image& expected) {
    ASSERT_EQ(actual.width, expected.width);
    ASSERT_EQ(actual.height, expected.height);
    for (int64_t y = 0; y < actual.height; ++y)
        for (int64_t x = 0; x < actual.width; ++x)
            ASSERT_EQ(std::memcmp(actual.at(x, y), expected.at(x, y), 3), 0)
                << "pixel (" << x << ", " << y << ") of " << actual.width << " x " << actual.height;
}

struct Sizes {
    int64_t width, height, new_width, new_height;
};

// Enlarging, shrinking, one pixel, primes, one axis unchanged, blocks of sixteen rows and columns,
// and one more.
constexpr Sizes kSizes[] = {
    {61, 47, 28, 28}, {61, 47, 97, 131}, {1, 1, 5, 3},      {61, 47, 1, 1},   {2, 1, 7, 16},
    {16, 16, 17, 17}, {17, 33, 16, 32},  {61, 47, 61, 20},  {61, 47, 20, 47}, {61, 47, 61, 47},
    {64, 32, 43, 22}, {5, 300, 14, 14},  {300, 5, 14, 100}, {3, 2, 3, 65},    {48, 48, 47, 49},
    {24, 17, 20, 9},  {24, 18, 20, 9},   {48, 64, 38, 38},  {37, 100, 64, 64}};
constexpr Filter kFilters[] = {Filter::Bilinear, Filter::Bicubic};

TEST(DataResize, EqualsThePlainAlgorithm) {
    for (const Sizes& s : kSizes)
        for (const Filter filter : kFilters)
            expect_same(
                resize(scene(s.width, s.height, 9), s.new_width, s.new_height, filter),
                plain_resize(scene(s.width, s.height, 9), s.new_width, s.new_height, filter));
}

// Black next to white: bicubic overshoots at both ends, which must be clamped, not wrapped.
TEST(DataResize, ClampsOvershoot) {
    Image image(40, 30);
    for (int64_t y = 0; y < 30; ++y)
        for (int64_t x = 0; x < 40; ++x)
            std::memset(image.at(x, y), (x / 5 + y / 3) % 2 == 0 ? 255 : 0, 3);
    expect_same(resize_bicubic(image, 77, 51), plain_resize(image, 77, 51, Filter::Bicubic));
    expect_same(resize_bicubic(image, 23, 19), plain_resize(image, 23, 19, Filter::Bicubic));
}

TEST(DataResize, EqualsPillow) {
    std::ifstream file(image_goldens() / "resize.txt");
    std::string line;
    int cases = 0;
    while (std::getline(file, line)) {
        SCOPED_TRACE(line);
        std::istringstream fields(line);
        Sizes s{};
        int filter = 0;
        uint64_t expected = 0;
        ASSERT_TRUE(fields >> s.width >> s.height >> s.new_width >> s.new_height >> filter >>
                    std::hex >> expected);
        const Image image = scene(s.width, s.height, 11);
        const Image resized = resize(image, s.new_width, s.new_height, static_cast<Filter>(filter));
        EXPECT_EQ(digest(resized.rgb.data(), resized.rgb.size()), expected);
        ++cases;
    }
    EXPECT_GE(cases, 30);
}

TEST(DataResize, WindowIsPartOfTheWhole) {
    const Image image = scene(61, 47, 9);
    for (const Window& window : {Window{0, 0, 28, 36}, Window{3, 5, 17, 16}, Window{27, 35, 1, 1}})
        for (const Filter filter : kFilters)
            expect_same(resize_window(image, 28, 36, filter, window),
                        crop(plain_resize(image, 28, 36, filter), window));
    expect_same(resize_window(image, 61, 47, Filter::Bicubic, {2, 3, 9, 8}),
                crop(image, {2, 3, 9, 8}));
}

TEST(DataResize, PaddedEqualsResizedSquare) {
    const Color fill{122, 116, 104};
    for (const Sizes& s : kSizes) {
        const Image image = scene(s.width, s.height, 9);
        for (const int64_t size : {int64_t{1}, int64_t{14}, int64_t{61}, int64_t{100}})
            for (const Filter filter : kFilters)
                expect_same(resize_padded(image, size, filter, fill),
                            plain_resize(pad_to_square(image, fill), size, size, filter));
    }
}

TEST(DataResize, LeftOrUpperMarginIsTheSmaller) {
    Image image(2, 5);
    std::memset(image.rgb.data(), 200, image.rgb.size());
    const Image square = pad_to_square(image, {1, 2, 3});
    ASSERT_EQ(square.width, 5);
    ASSERT_EQ(square.height, 5);
    const int own[] = {0, 200, 200, 0, 0};
    for (int64_t y = 0; y < 5; ++y)
        for (int64_t x = 0; x < 5; ++x)
            for (int c = 0; c < 3; ++c) EXPECT_EQ(square.at(x, y)[c], own[x] == 0 ? c + 1 : own[x]);
}

// A strip of the greatest length, made square: only a few rows of 16384 pixels are computed.
TEST(DataResize, LongStripsStaySmall) {
    const Image strip = scene(16384, 2, 1);
    const Image square = resize_padded(strip, 14, Filter::Bicubic, {9, 9, 9});
    EXPECT_EQ(square.at(0, 0)[0], 9);
    const Image cut =
        resize_window(strip, 336 * 8192, 336, Filter::Bicubic, {336 * 4096, 0, 336, 336});
    EXPECT_EQ(cut.width, 336);
}

TEST(DataResize, RefusesEmptySides) {
    const Image image = scene(4, 4, 1);
    EXPECT_THROW(resize_bicubic(image, 0, 4), Error);
    EXPECT_THROW(resize_bicubic(image, 4, -1), Error);
    EXPECT_THROW(resize_bicubic(Image(0, 4), 4, 4), Error);
    EXPECT_THROW(resize_window(image, 8, 8, Filter::Bicubic, {4, 4, 5, 4}), Error);
}

}  // namespace
}  // namespace vila::data
