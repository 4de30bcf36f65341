#include "tools/train/training_images.h"

#include <utility>

#include "tools/base/image_source.h"

namespace vila::tools {

using data::LoadedImage;

TrainingImages::TrainingImages(const models::VilaModel& model, data::ImageProcessor processor,
                               TrainingImageOptions options)
    : model_(model),
      layout_(model.config().image_layout()),
      processor_(std::move(processor)),
      options_(std::move(options)),
      count_(image_token_counter(layout_)) {}

int64_t TrainingImages::count_tokens(const data::ImageRef& image) const {
    // If the features are in the cache, their number is known without opening the image.
    const int64_t rows =
        layout_.depends_on_size() && options_.cache ? options_.cache->rows(image) : 0;
    return rows > 0 ? layout_.tokens_of_tiles(layout_.tiles_of_features(rows)) : count_(image);
}

LoadedImage TrainingImages::load(const data::ImageRef& image, uint64_t draw) const {
    if (options_.cache && options_.cache->contains(image))
        return {.shape = {0}, .values = {}, .tokens = count_tokens(image)};
    return load_pixels(image, processor_, layout_, options_.random_crop, draw);
}

std::vector<LoadedImage> TrainingImages::inputs(const data::MicroBatch& micro) {
    std::vector<LoadedImage> images;
    for (const data::LoadedSample& loaded : micro.samples)
        for (size_t i = 0; i < loaded.images.size(); ++i) {
            if (options_.frozen_tower) {
                images.push_back(features_of(loaded.sample.images[i], loaded.images[i]));
                continue;
            }
            images.push_back(loaded.images[i]);
            encoded_tiles_ += images.back().tokens / layout_.tile_tokens;
        }
    return images;
}

LoadedImage TrainingImages::features_of(const data::ImageRef& image, const LoadedImage& loaded) {
    LoadedImage features;
    if (options_.cache && options_.cache->read(image, features.values)) {
        const int64_t width = model_.config().vision->hidden_size;
        const int64_t rows = static_cast<int64_t>(features.values.size()) / width;
        features.shape = {rows, width};
        features.tokens = layout_.tokens_of_tiles(layout_.tiles_of_features(rows));
        return features;
    }
    // If the cache had the image but its entry is damaged, the loader has not read the pixels.
    features = encode_image(
        model_, loaded.values.empty() ? load_pixels(image, processor_, layout_) : loaded);
    encoded_tiles_ += features.tokens / layout_.tile_tokens;
    if (options_.cache) options_.cache->store(image, features.values);
    return features;
}

int64_t TrainingImages::take_encoded_tiles() {
    return std::exchange(encoded_tiles_, 0);
}

}  // namespace vila::tools
