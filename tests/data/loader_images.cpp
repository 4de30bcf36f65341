// A loader of images that take different numbers of positions.

#include <gtest/gtest.h>

#include <set>

#include "data/loader/loader.h"
#include "tests/support/text_helpers.h"

namespace vila::data {
namespace {

// Record i has i % 3 images.
class ImageDataset final : public Dataset {
  public:
    int64_t size() const override { return 100; }
    std::string where(int64_t index) const override { return "record " + std::to_string(index); }
    Sample get(int64_t index, const TemplateContext&) const override {
        Sample sample;
        sample.ids = {1};
        for (int64_t i = 0; i < index % 3; ++i) {
            sample.ids.push_back(kImageToken);
            sample.images.push_back({std::to_string(10 * index + i)});
        }
        sample.labels.assign(sample.ids.size(), kIgnoreLabel);
        sample.ids.push_back(5);
        sample.labels.push_back(5);
        return sample;
    }
};

// 1 to 7 positions.
int64_t tokens_of(const ImageRef& image) {
    return 1 + std::stoll(image.path) % 7;
}

class LoaderImagesTest : public testing::Test {
  protected:
    static LoaderOptions options() {
        LoaderOptions options;
        options.max_length = 16;
        options.image_tokens = tokens_of;
        options.global_batch = 12;
        options.micro_batch = 2;
        options.pack = true;
        return options;
    }
    std::unique_ptr<Loader> loader(const LoaderOptions& options) {
        return std::make_unique<Loader>(
            std::vector<const Dataset*>{&dataset_}, std::vector<double>{1},
            TemplateContext{*tokenizer_, chat_},
            [](const ImageRef& image, uint64_t) {
                return LoadedImage{Shape{1}, {0.0f}, tokens_of(image)};
            },
            options);
    }

    ImageDataset dataset_;
    std::unique_ptr<Tokenizer> tokenizer_ = byte_tokenizer();
    ChatTemplate chat_ = ChatTemplate::named("qa");
};

TEST_F(LoaderImagesTest, PacksEachImageByItsOwnLength) {
    const auto made = loader(options());
    std::set<int64_t> counts;
    int64_t bins = 0, fullest = 0;
    for (int64_t step = 0; step < 20; ++step) {
        const StepBatch batch = made->next();
        bins += static_cast<int64_t>(batch.micro_batches.size());
        int64_t sum = 0;
        for (const MicroBatch& micro_batch : batch.micro_batches) {
            int64_t positions = 0;
            for (const LoadedSample& loaded : micro_batch.samples) {
                positions += 2;
                for (size_t i = 0; i < loaded.images.size(); ++i) {
                    const int64_t expected = tokens_of(loaded.sample.images[i]);
                    EXPECT_EQ(loaded.images[i].tokens, expected);
                    EXPECT_EQ(loaded.sample.image_tokens[i], expected);
                    positions += expected;
                    counts.insert(expected);
                }
            }
            EXPECT_LE(positions, 32);
            fullest = std::max(fullest, positions);
            sum += positions;
        }
        EXPECT_EQ(batch.tokens, sum);
        EXPECT_TRUE(batch.bad_samples.empty());
    }
    EXPECT_EQ(counts.size(), 7u);
    EXPECT_EQ(fullest, 32);
    EXPECT_LT(bins, 20 * 4) << "fewer than three samples each would give";
}

TEST_F(LoaderImagesTest, RanksBalanceTheCostOfImages) {
    LoaderOptions whole = options();
    const int64_t tokens = loader(whole)->next().tokens;
    int64_t of_ranks = 0;
    for (int64_t rank = 0; rank < 2; ++rank) {
        LoaderOptions part = whole;
        part.rank = rank;
        part.ranks = 2;
        part.cost = [](int64_t positions, int64_t image_positions) {
            EXPECT_EQ((positions - image_positions), 2);
            return static_cast<double>(positions);
        };
        of_ranks += loader(part)->next().tokens;
    }
    EXPECT_EQ(of_ranks, tokens);
}

TEST_F(LoaderImagesTest, RefusesAnImageOfAnotherLengthThanCounted) {
    LoaderOptions wrong = options();
    wrong.image_tokens = [](const ImageRef& image) {
        return tokens_of(image) + (image.path == "200" ? 1 : 0);
    };
    const auto made = loader(wrong);
    std::string reason;
    for (int64_t step = 0; step < 10 && reason.empty(); ++step)
        for (const BadSample& bad : made->next().bad_samples) reason = bad.reason;
    EXPECT_EQ(reason, "200: tokens of the image: expected 6, got 5");
}

}  // namespace
}  // namespace vila::data
