// The images of a training run with a layout of tiles, so that their numbers of tokens depend on
// their sizes: counted, packed, encoded, cached, and learned from.

#include "tools/train/training_images.h"

#include <gtest/gtest.h>

#include <set>

#include "autograd/variable.h"
#include "data/image/image_write.h"
#include "models/batch.h"
#include "tensor/cpu/cpu_device.h"
#include "tensor/random.h"
#include "tests/support/image_goldens.h"
#include "tests/support/text_helpers.h"
#include "tests/support/tiled_config.h"
#include "tools/base/image_source.h"

namespace vila::tools {
namespace {

constexpr int64_t kSide = 8;  // of a tile

models::VilaConfig tiled_config() {
    return models::small_tiled_config(kSide, 4);
}

data::ImageProcessor processor() {
    return data::ImageProcessor(
        data::ImageProcessorConfig::for_tower(kSide, {0.5, 0.5, 0.5}, {0.5, 0.5, 0.5}, false),
        data::ImageMode::Resize);
}

// Record i shows picture i, whose sides are multiples of a tile.
class PictureDataset final : public data::Dataset {
  public:
    explicit PictureDataset(std::filesystem::path folder) : folder_(std::move(folder)) {
        for (int64_t i = 0; i < size(); ++i) data::write_png(path(i), picture(i));
    }
    static data::Image picture(int64_t i) {
        const int64_t columns[] = {1, 2, 3, 1, 2}, rows[] = {1, 1, 1, 2, 2};
        data::Image image(columns[i % 5] * kSide, rows[i % 5] * kSide);
        for (size_t k = 0; k < image.rgb.size(); ++k)
            image.rgb[k] = static_cast<uint8_t>(random_below(static_cast<uint64_t>(i), k, 256));
        return image;
    }
    // The tiles of a grid, and the thumbnail of more than one.
    static int64_t tiles(int64_t i) {
        const int64_t count[] = {1, 3, 4, 3, 5};
        return count[i % 5];
    }
    std::string path(int64_t i) const { return folder_ / (std::to_string(i) + ".png"); }

    int64_t size() const override { return 15; }
    std::string where(int64_t index) const override { return "picture " + std::to_string(index); }
    data::Sample get(int64_t index, const data::TemplateContext&) const override {
        data::Sample sample;
        sample.ids = {1, kImageToken, static_cast<int32_t>(index), 7};
        sample.labels = {kIgnoreLabel, kIgnoreLabel, static_cast<int32_t>(index), 7};
        sample.images = {{.path = path(index)}};
        sample.index = index;
        return sample;
    }

  private:
    std::filesystem::path folder_;
};

class TrainingImagesTest : public testing::Test {
  protected:
    TrainingImagesTest() {
        model_.initialize(5);
        model_.set_trainable({.llm = true, .projector = true, .vision_tower = true});
    }
    // The cache keeps `memory_bytes` in memory; the rest goes to a file.
    TrainingImages images(bool frozen, bool caches, int64_t memory_bytes = 0) {
        TrainingImageOptions options;
        options.frozen_tower = frozen;
        if (caches)
            options.cache = std::make_unique<FeatureCache>(
                FeatureCacheOptions{.width = 6,
                                    .memory_bytes = memory_bytes,
                                    .file = scratch_.path() / "cache" / "features.bin",
                                    .fingerprint = 1,
                                    .warn = [](const std::string& line) { FAIL() << line; }});
        return TrainingImages(model_, processor(), std::move(options));
    }
    // Packed micro-batches of at most 48 positions.
    std::unique_ptr<data::Loader> loader(const TrainingImages& images) {
        data::LoaderOptions options;
        options.max_length = 24;
        options.micro_batch = 2;
        options.global_batch = 5;
        options.pack = true;
        options.threads = 2;
        options.image_tokens = [&](const data::ImageRef& image) {
            return images.count_tokens(image);
        };
        options.on_bad_sample = [](const data::BadSample& bad) { FAIL() << bad.reason; };
        return std::make_unique<data::Loader>(
            std::vector<const data::Dataset*>{&dataset_}, std::vector<double>{1},
            data::TemplateContext{*tokenizer_, chat_},
            [&](const data::ImageRef& image, uint64_t draw) { return images.load(image, draw); },
            options);
    }
    static std::vector<models::Sequence> sequences(const data::MicroBatch& micro,
                                                   const std::vector<data::LoadedImage>& inputs) {
        std::vector<models::Sequence> sequences;
        for (size_t i = 0; i < micro.samples.size(); ++i) {
            const data::Sample& sample = micro.samples[i].sample;
            sequences.push_back({sample.ids,
                                 sample.labels,
                                 {{inputs[i].shape, inputs[i].values, inputs[i].tokens}}});
        }
        return sequences;
    }

    data::ScratchFolder scratch_;
    PictureDataset dataset_{scratch_.path()};
    std::unique_ptr<CpuDevice> device_ = make_cpu_device(1);
    models::VilaModel model_{tiled_config(), *device_, DType::F32};
    std::unique_ptr<data::Tokenizer> tokenizer_ = data::byte_tokenizer();
    data::ChatTemplate chat_ = data::ChatTemplate::named("qa");
};

// Images that lie on a side, and GIF files that are larger than their screen, among others.
TEST(ImageTokenCounter, AgreesWithTheDecodedImage) {
    models::ImageLayout layout = tiled_config().image_layout();
    for (const auto& entry : std::filesystem::directory_iterator(data::image_goldens())) {
        const std::string extension = entry.path().extension();
        if (extension == ".ppm" || extension == ".txt" || extension == ".json") continue;
        if (extension == ".webp" && !data::has_webp()) continue;
        const data::ImageRef ref = {.path = entry.path()};
        const data::Image image = read_image(ref);
        for (layout.max_tiles = 1; layout.max_tiles <= 12; ++layout.max_tiles)
            EXPECT_EQ(image_token_counter(layout)(ref),
                      layout.image_tokens(image.height, image.width))
                << entry.path();
    }
}

TEST(ImageTokenCounter, ReadsNoPixels) {
    const data::ScratchFolder scratch;
    const std::string path = scratch.path() / "picture.png";
    data::write_png(path, PictureDataset::picture(4));
    std::filesystem::resize_file(path, 40);  // the header
    const data::ImageRef ref = {.path = path};
    EXPECT_THROW(read_image(ref), Error);
    EXPECT_EQ(image_token_counter(tiled_config().image_layout())(ref),
              4 * PictureDataset::tiles(4));
}

// Pictures are whole tiles, so every tile but the thumbnail is a part of the picture.
TEST_F(TrainingImagesTest, PixelsAreThoseOfTheTiles) {
    const TrainingImages plain = images(false, false);
    for (int64_t i = 0; i < dataset_.size(); ++i) {
        const data::ImageRef ref = {.path = dataset_.path(i)};
        const data::LoadedImage loaded = plain.load(ref, 0);
        const data::Image picture = PictureDataset::picture(i);
        const int64_t tiles = PictureDataset::tiles(i), columns = picture.width / kSide;
        EXPECT_EQ(loaded.tokens, 4 * tiles) << i;
        EXPECT_EQ(plain.count_tokens(ref), 4 * tiles) << i;
        ASSERT_EQ(loaded.shape,
                  tiles == 1 ? Shape({3, kSide, kSide}) : Shape({tiles, 3, kSide, kSide}));
        for (int64_t k = 0; k < std::max<int64_t>(tiles - 1, 1); ++k)
            for (int64_t y = 0; y < kSide; ++y)
                for (int64_t x = 0; x < kSide; ++x)
                    for (int64_t c = 0; c < 3; ++c) {
                        const uint8_t* pixel =
                            picture.at(k % columns * kSide + x, k / columns * kSide + y);
                        const size_t at =
                            static_cast<size_t>(((k * 3 + c) * kSide + y) * kSide + x);
                        ASSERT_NEAR(loaded.values[at], pixel[c] / 127.5 - 1.0, 1e-5);
                    }
    }
}

TEST_F(TrainingImagesTest, PacksEncodesAndCachesImagesOfDifferentLengths) {
    TrainingImages plain = images(true, false);
    // Room for about half of the features in memory.
    TrainingImages cached = images(true, true, 28 * 4 * 6 * 4);
    const auto expected_steps = loader(plain), steps = loader(cached);
    const int64_t epoch = dataset_.size() / 5;
    std::set<int64_t> lengths;
    for (int64_t step = 0; step < 3 * epoch; ++step) {
        const data::StepBatch expected = expected_steps->next(), batch = steps->next();
        ASSERT_EQ(batch.micro_batches.size(), expected.micro_batches.size());
        EXPECT_EQ(batch.tokens, expected.tokens);
        int64_t positions = 0, tiles = 0;
        for (size_t m = 0; m < batch.micro_batches.size(); ++m) {
            const data::MicroBatch& micro = batch.micro_batches[m];
            const auto inputs = cached.inputs(micro),
                       fresh = plain.inputs(expected.micro_batches[m]);
            int64_t length = 0;
            for (size_t i = 0; i < inputs.size(); ++i) {
                const int64_t shown = PictureDataset::tiles(micro.samples[i].sample.index);
                EXPECT_EQ(inputs[i].tokens, 4 * shown);
                EXPECT_EQ(inputs[i].shape, (Shape{4 * shown, 6}));
                EXPECT_EQ(inputs[i].values, fresh[i].values);
                length += 3 + inputs[i].tokens;
                tiles += shown;
                lengths.insert(inputs[i].tokens);
            }
            EXPECT_LE(length, 48);
            positions += length;
        }
        EXPECT_EQ(batch.tokens, positions);
        EXPECT_EQ(plain.take_encoded_tiles(), tiles);
        EXPECT_EQ(cached.take_encoded_tiles(), step < epoch ? tiles : 0) << step;
    }
    EXPECT_EQ(lengths, (std::set<int64_t>{4, 12, 16, 20}));
    // Another process finds the images on disk, and counts their tokens without opening them.
    TrainingImages again = images(true, true);
    int64_t found = 0;
    for (int64_t i = 0; i < dataset_.size(); ++i) {
        const data::ImageRef ref = {.path = dataset_.path(i)};
        const bool on_disk = again.load(ref, 0).values.empty();
        found += on_disk ? 1 : 0;
        if (on_disk) std::filesystem::remove(ref.path);
        EXPECT_EQ(again.count_tokens(ref), 4 * PictureDataset::tiles(i));
    }
    EXPECT_GT(found, 4);
    EXPECT_LT(found, 15);
}

TEST_F(TrainingImagesTest, AMicroBatchLearnsWhatItsSamplesLearnAlone) {
    for (const bool frozen : {false, true}) {
        TrainingImages source = images(frozen, false);
        const auto made = loader(source);
        const data::StepBatch batch = made->next();
        for (const data::MicroBatch& micro : batch.micro_batches) {
            const auto inputs = source.inputs(micro);
            const auto all = sequences(micro, inputs);
            const double scale = 1.0 / static_cast<double>(2 * all.size());
            Tensor row_losses;
            const autograd::Variable loss =
                model_.loss(models::make_batch(*device_, all), scale, &row_losses);
            autograd::backward(loss);
            std::vector<float> losses;
            double sum = 0.0;
            for (const models::Sequence& sequence : all) {
                Tensor alone;
                sum += model_.loss(models::make_batch(*device_, {sequence}), scale, &alone)
                           .value()
                           .item();
                for (const float value : alone.to_vector<float>()) losses.push_back(value);
            }
            EXPECT_EQ(row_losses.to_vector<float>(), losses);
            EXPECT_NEAR(loss.value().item(), sum, 1e-5);
            for (const nn::Parameter& parameter : model_.projector_table())
                EXPECT_TRUE(parameter.variable.grad().defined()) << parameter.name;
        }
    }
}

}  // namespace
}  // namespace vila::tools
