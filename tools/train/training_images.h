#pragma once

// TrainingImages: the images of a run with next-token loss. Counts their tokens, loads their
// pixels, and replaces pixels by features if the vision tower is frozen. Features are computed once
// per image where a cache keeps them.

#include <cstdint>
#include <memory>
#include <vector>

#include "data/image/image_processor.h"
#include "data/loader/loader.h"
#include "models/vila.h"
#include "tools/train/feature_cache.h"

namespace vila::tools {

struct TrainingImageOptions {
    double random_crop = 1.0;             // data.random_crop
    bool frozen_tower = false;            // give features instead of pixels
    std::unique_ptr<FeatureCache> cache;  // null: features are computed every time
};

class TrainingImages {
  public:
    // `model` must outlive this object and have a vision tower.
    TrainingImages(const models::VilaModel& model, data::ImageProcessor processor,
                   TrainingImageOptions options);

    const data::ImageProcessor& processor() const { return processor_; }

    // --- called by the threads of a loader (data/loader/loader.h) ---

    // Returns the number of tokens of an image.
    int64_t count_tokens(const data::ImageRef& image) const;
    // Returns the pixels of an image; no values if its features are in the cache.
    data::LoadedImage load(const data::ImageRef& image, uint64_t draw) const;

    // --- called by the thread that trains ---

    // Returns the images of a micro-batch in order: pixels, or features if the tower is frozen.
    std::vector<data::LoadedImage> inputs(const data::MicroBatch& micro);
    // Returns the number of tiles that the tower encodes for the results of inputs() since the last
    // call.
    int64_t take_encoded_tiles();

  private:
    // Returns the features from the cache, or those that the frozen tower computes. One image per
    // call of the tower gives the same bits for an image whatever else is in the batch.
    data::LoadedImage features_of(const data::ImageRef& image, const data::LoadedImage& loaded);

    const models::VilaModel& model_;
    models::ImageLayout layout_;
    data::ImageProcessor processor_;
    TrainingImageOptions options_;
    data::ImageTokens count_;
    int64_t encoded_tiles_ = 0;
};

}  // namespace vila::tools
