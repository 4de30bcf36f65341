#include "data/sample.h"

#include <gtest/gtest.h>

#include "tests/support/text_helpers.h"

namespace vila::data {
namespace {

constexpr int32_t I = kImageToken;
constexpr int32_t X = kIgnoreLabel;

// A sample whose images take `image_tokens` positions each, or one more for each image before.
Sample sample_of(std::vector<int32_t> ids, int64_t image_tokens = 1, bool grow = false) {
    Sample sample;
    sample.ids = ids;
    for (const int32_t id : ids) {
        sample.labels.push_back(id == I || sample.labels.empty() ? X : id);
        if (id == I) sample.images.push_back({std::to_string(sample.images.size())});
    }
    count_image_tokens(sample, [&](const ImageRef& image) {
        return image_tokens + (grow ? std::stoll(image.path) : 0);
    });
    return sample;
}

TEST(Sample, LengthsAndTargets) {
    const std::vector<int32_t> ids = {1, I, 5, 6, I, 7};
    const Sample sample = sample_of(ids);
    EXPECT_EQ(spliced_length(sample), 6);
    EXPECT_EQ(spliced_length(sample_of(ids, 10)), 24);
    EXPECT_EQ(spliced_length(sample_of(ids, 10, true)), 25);
    EXPECT_EQ(image_positions(sample_of(ids, 10, true)), 21);
    EXPECT_EQ(count_targets(sample), 3);
    EXPECT_EQ(spliced_length(Sample{}), 0);
    EXPECT_EQ(count_targets(Sample{}), 0);
}

TEST(Sample, ImagesMustBeCounted) {
    Sample sample = sample_of({1, I, 5});
    sample.image_tokens.clear();
    EXPECT_EQ(message_of([&] { spliced_length(sample); }),
              "counted images of a sample: expected 1, got 0");
    EXPECT_EQ(message_of([&] { count_image_tokens(sample, [](const ImageRef&) { return 0; }); }),
              "0: 0 positions of an image: expected at least 1");
}

TEST(Sample, RefusesInvalidSamples) {
    check_sample(sample_of({1, I, 5}));
    Sample sample = sample_of({1, I, 5});
    sample.images.clear();
    EXPECT_EQ(message_of([&] { check_sample(sample); }),
              "the text has 1 <image> placeholders and the record has 0 images: write one "
              "placeholder for each image, or none at all");
    sample = sample_of({1, 2});
    sample.labels.pop_back();
    EXPECT_EQ(message_of([&] { check_sample(sample); }), "labels of a sample: expected 2, got 1");
    sample = sample_of({1, 2});
    sample.labels[0] = 1;
    EXPECT_EQ(message_of([&] { check_sample(sample); }),
              "first label of a sample: expected -100, got 1");
    sample = sample_of({1, 2});
    sample.labels[1] = 3;
    EXPECT_EQ(message_of([&] { check_sample(sample); }),
              "label 3 at position 1: expected the token's id 2 or -100");
    sample = sample_of({1, I});
    sample.labels[1] = I;
    EXPECT_NE(message_of([&] { check_sample(sample); }).find("label -200"), std::string::npos);
    sample = sample_of({1, -7});
    EXPECT_EQ(message_of([&] { check_sample(sample); }),
              "id -7 at position 1: expected a token or -200");
    EXPECT_EQ(message_of([] { check_sample(Sample{}); }),
              "the sample is empty: expected text or an image");
}

TEST(Sample, TruncationKeepsWholeImagesFollowedByText) {
    struct Case {
        std::vector<int32_t> ids;
        int64_t max_length;
        std::vector<int32_t> kept;
    };
    // An image takes 3 positions.
    const Case cases[] = {
        {{1, 2, 3}, 3, {1, 2, 3}},
        {{1, 2, 3}, 2, {1, 2}},
        {{1, I, 4, 5}, 6, {1, I, 4, 5}},
        {{1, I, 4, 5}, 5, {1, I, 4}},
        {{1, I, 4, 5}, 4, {1}},     // the image fits, but nothing follows it
        {{1, I, 4, 5}, 3, {1}},     // the image is cut
        {{1, I, I, 5, 6}, 7, {1}},  // both fit, nothing follows
        {{1, I, I, 5, 6}, 8, {1, I, I, 5}},
        {{I, I, 5}, 6, {}},
        {{1, I, 4, I, 6}, 7, {1, I, 4}},
        {{1, I, 4, I}, 8, {1, I, 4, I}},  // unchanged if it fits
    };
    for (const Case& c : cases) {
        Sample sample = sample_of(c.ids, 3);
        EXPECT_EQ(truncate_sample(sample, c.max_length), c.kept != c.ids);
        EXPECT_EQ(sample.ids, c.kept);
        EXPECT_EQ(sample.labels.size(), c.kept.size());
        EXPECT_EQ(sample.images, sample_of(c.kept).images);
        EXPECT_EQ(sample.image_tokens, sample_of(c.kept, 3).image_tokens);
    }
}

TEST(Sample, TruncationKnowsTheSizeOfEachImage) {
    // The images take 3, 4 and 5 positions.
    const std::vector<int32_t> ids = {1, I, 4, I, 5, I, 6};
    for (const auto& [max_length, kept] :
         std::vector<std::pair<int64_t, std::vector<int32_t>>>{{16, ids},
                                                               {15, {1, I, 4, I, 5}},
                                                               {10, {1, I, 4, I, 5}},
                                                               {9, {1, I, 4}},
                                                               {5, {1, I, 4}},
                                                               {4, {1}}}) {
        Sample sample = sample_of(ids, 3, true);
        EXPECT_EQ(truncate_sample(sample, max_length), kept != ids);
        EXPECT_EQ(sample.ids, kept) << max_length;
        EXPECT_EQ(sample.image_tokens, sample_of(kept, 3, true).image_tokens) << max_length;
        EXPECT_LE(spliced_length(sample), max_length);
    }
}

}  // namespace
}  // namespace vila::data
