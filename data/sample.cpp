#include "data/sample.h"

#include <algorithm>
#include <numeric>

#include "tensor/check.h"

namespace vila::data {

namespace {

int64_t count_placeholders(const Sample& sample) {
    return std::count(sample.ids.begin(), sample.ids.end(), kImageToken);
}

}  // namespace

void check_sample(const Sample& sample) {
    VILA_CHECK(!sample.ids.empty(), "the sample is empty: expected text or an image");
    VILA_CHECK_EQ(sample.labels.size(), sample.ids.size(), "labels of a sample");
    VILA_CHECK_EQ(sample.labels[0], kIgnoreLabel, "first label of a sample");
    for (size_t i = 0; i < sample.ids.size(); ++i) {
        VILA_CHECK(sample.labels[i] == kIgnoreLabel ||
                       (sample.labels[i] == sample.ids[i] && sample.ids[i] != kImageToken),
                   "label ", sample.labels[i], " at position ", i, ": expected the token's id ",
                   sample.ids[i], " or ", kIgnoreLabel);
        VILA_CHECK(sample.ids[i] >= 0 || sample.ids[i] == kImageToken, "id ", sample.ids[i],
                   " at position ", i, ": expected a token or ", kImageToken);
    }
    const auto images = static_cast<int64_t>(sample.images.size());
    VILA_CHECK(count_placeholders(sample) == images, "the text has ", count_placeholders(sample),
               " <image> placeholders and the record has ", images,
               " images: write one placeholder for each image, or none at all");
}

void count_image_tokens(Sample& sample, const ImageTokens& image_tokens) {
    sample.image_tokens.clear();
    for (const ImageRef& image : sample.images) {
        sample.image_tokens.push_back(image_tokens(image));
        VILA_CHECK(sample.image_tokens.back() >= 1, image.path, ": ", sample.image_tokens.back(),
                   " positions of an image: expected at least 1");
    }
}

int64_t image_positions(const Sample& sample) {
    VILA_CHECK_EQ(sample.image_tokens.size(), sample.images.size(), "counted images of a sample");
    return std::accumulate(sample.image_tokens.begin(), sample.image_tokens.end(), int64_t{0});
}

int64_t spliced_length(const Sample& sample) {
    const auto placeholders = static_cast<int64_t>(sample.images.size());
    return static_cast<int64_t>(sample.ids.size()) - placeholders + image_positions(sample);
}

int64_t count_targets(const Sample& sample) {
    return std::count_if(sample.labels.begin(), sample.labels.end(),
                         [](int32_t label) { return label != kIgnoreLabel; });
}

bool truncate_sample(Sample& sample, int64_t max_length) {
    if (spliced_length(sample) <= max_length) return false;
    int64_t length = 0;
    size_t kept = 0, images = 0;
    for (; kept < sample.ids.size(); ++kept) {
        const bool is_image = sample.ids[kept] == kImageToken;
        length += is_image ? sample.image_tokens[images] : 1;
        if (length > max_length) break;
        if (is_image) ++images;
    }
    for (; kept > 0 && sample.ids[kept - 1] == kImageToken; --kept) --images;
    sample.ids.resize(kept);
    sample.labels.resize(kept);
    sample.images.resize(images);
    sample.image_tokens.resize(images);
    return true;
}

}  // namespace vila::data
