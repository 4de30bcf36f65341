// Random crops: their content, their variation, and their determinism.

#include "data/image/random_crop.h"

#include <gtest/gtest.h>

#include <set>
#include <utility>

#include "tensor/random.h"

namespace vila::data {
namespace {

// Returns an image whose pixels encode their positions.
Image labeled(int64_t width, int64_t height) {
    Image image(width, height);
    for (int64_t y = 0; y < height; ++y)
        for (int64_t x = 0; x < width; ++x) {
            image.at(x, y)[0] = static_cast<uint8_t>(x);
            image.at(x, y)[1] = static_cast<uint8_t>(y);
        }
    return image;
}

TEST(RandomCrop, CutsBothSidesToOneShareAtAnyPlace) {
    const Image image = labeled(100, 61);
    std::set<int64_t> widths;
    std::set<std::pair<int, int>> places;
    bool at_right = false, at_bottom = false;
    for (uint64_t draw = 0; draw < 2000; ++draw) {
        const Image part = random_crop(image, 0.5, random_key(7, draw));
        ASSERT_GE(part.width, 50);
        ASSERT_LE(part.width, 100);
        EXPECT_NEAR(double(part.height) / 61, double(part.width) / 100,
                    0.5 / 100 + 0.5 / 61 + 1e-9);
        const int left = part.at(0, 0)[0], top = part.at(0, 0)[1];
        for (int64_t y = 0; y < part.height; ++y)
            for (int64_t x = 0; x < part.width; ++x) {
                ASSERT_EQ(part.at(x, y)[0], left + x);
                ASSERT_EQ(part.at(x, y)[1], top + y);
            }
        widths.insert(part.width);
        places.insert({left, top});
        at_right |= part.width < 100 && left + part.width == 100;
        at_bottom |= part.height < 61 && top + part.height == 61;
    }
    EXPECT_EQ(widths.size(), 51u);
    EXPECT_GT(places.size(), 300u);
    EXPECT_TRUE(at_right && at_bottom);
}

TEST(RandomCrop, DependsOnlyOnTheDraw) {
    const Image image = labeled(31, 31);
    EXPECT_EQ(random_crop(image, 0.6, 5).rgb, random_crop(image, 0.6, 5).rgb);
    EXPECT_NE(random_crop(image, 0.6, 5).rgb, random_crop(image, 0.6, 6).rgb);
    EXPECT_EQ(random_crop(image, 1.0, 5).rgb, image.rgb);
    EXPECT_EQ(random_crop(labeled(1, 1), 0.1, 5).rgb, labeled(1, 1).rgb);
}

}  // namespace
}  // namespace vila::data
