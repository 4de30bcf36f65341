// The feature cache returns the bits that were stored, from memory and from disk, and refuses
// damaged, truncated and foreign entries.

#include "tools/train/feature_cache.h"

#include <unistd.h>

#include <cmath>
#include <fstream>

#include <gtest/gtest.h>

#include "tensor/check.h"
#include "tensor/file.h"

namespace vila::tools {
namespace {

namespace fs = std::filesystem;

class FeatureCacheTest : public ::testing::TestWithParam<DType> {
  protected:
    static constexpr int64_t kWidth = 3;
    static constexpr int64_t kValues = 6;  // of features(i), two rows

    FeatureCacheTest()
        : folder_(fs::temp_directory_path() / str("vila_features_", ::getpid())),
          file_(folder_ / "cache" / "features.bin") {
        fs::remove_all(folder_);
    }
    ~FeatureCacheTest() override { fs::remove_all(folder_); }

    FeatureCacheOptions options(int64_t images_in_memory, uint64_t fingerprint = 1) {
        return {.width = kWidth,
                .dtype = GetParam(),
                .memory_bytes = images_in_memory * kValues * dtype_size(GetParam()),
                .file = file_,
                .fingerprint = fingerprint,
                .warn = [this](const std::string& line) { warnings_.push_back(line); }};
    }
    static data::ImageRef image(int i) { return {.path = "tar", .offset = 512 * i, .bytes = 100}; }
    // Values that both dtypes hold exactly.
    static std::vector<float> features(int i) {
        return {static_cast<float>(i), -0.0f, 1.5f, INFINITY, -2.0f, 0.25f};
    }
    void expect(const FeatureCache& cache, int i) {
        std::vector<float> got;
        ASSERT_EQ(cache.rows(image(i)), 2) << i;
        ASSERT_TRUE(cache.read(image(i), got)) << i;
        EXPECT_EQ(got, features(i));
        EXPECT_TRUE(std::signbit(got[1]));
    }

    fs::path folder_, file_;
    std::vector<std::string> warnings_;
};

TEST_P(FeatureCacheTest, MemoryFirstThenDisk) {
    FeatureCache cache(options(2));
    EXPECT_FALSE(cache.contains(image(0)));
    for (int i = 0; i < 5; ++i) cache.store(image(i), features(i));
    cache.store(image(1), features(1));
    EXPECT_EQ(cache.images_in_memory(), 2);
    EXPECT_EQ(cache.images_on_disk(), 3);
    for (int i = 0; i < 5; ++i) expect(cache, i);
    EXPECT_FALSE(cache.contains(image(5)));
    EXPECT_FALSE(cache.contains({.path = "tar", .offset = 0, .bytes = 101}));
    EXPECT_TRUE(warnings_.empty());
}

TEST_P(FeatureCacheTest, FileIsFoundAgainUnlessTheTowerIsAnother) {
    {
        FeatureCache cache(options(0));
        for (int i = 0; i < 3; ++i) cache.store(image(i), features(i));
    }
    {
        FeatureCache again(options(0));
        EXPECT_EQ(again.images_on_disk(), 3);
        for (int i = 0; i < 3; ++i) expect(again, i);
    }
    FeatureCache other(options(0, 2));
    EXPECT_EQ(other.images_on_disk(), 0);
    EXPECT_FALSE(other.contains(image(0)));
}

TEST_P(FeatureCacheTest, DamagedAndCutEntriesAreNotUsed) {
    {
        FeatureCache cache(options(0));
        for (int i = 0; i < 3; ++i) cache.store(image(i), features(i));
    }
    const int64_t entry = 40 + kValues * dtype_size(GetParam());
    {
        std::fstream file(file_, std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(64 + entry + 40);
        file.put('\x55');
    }
    fs::resize_file(file_, static_cast<uintmax_t>(64 + 3 * entry - 1));
    FeatureCache cache(options(0));
    std::vector<float> got;
    expect(cache, 0);
    EXPECT_TRUE(cache.contains(image(1)));
    EXPECT_FALSE(cache.read(image(1), got)) << "its hash does not agree";
    EXPECT_FALSE(cache.contains(image(2))) << "it was cut";
    for (int i = 1; i < 3; ++i) cache.store(image(i), features(i));
    for (int i = 0; i < 3; ++i) expect(cache, i);
}

TEST_P(FeatureCacheTest, ImagesHaveRowsOfTheirOwn) {
    const auto rows_of = [](int i) { return std::vector<float>(static_cast<size_t>(3 * i), 0.5f); };
    for (const int64_t images_in_memory : {0, 4}) {
        const auto fingerprint = static_cast<uint64_t>(1 + images_in_memory);
        {
            FeatureCache cache(options(images_in_memory, fingerprint));
            for (int i = 1; i <= 6; ++i) cache.store(image(i), rows_of(i));
            // 1 + 2 + 3 rows, but not the fourth image: four times two rows fit.
            EXPECT_EQ(cache.images_in_memory(), images_in_memory == 0 ? 0 : 3);
            for (int i = 1; i <= 6; ++i) {
                std::vector<float> got;
                EXPECT_EQ(cache.rows(image(i)), i);
                ASSERT_TRUE(cache.read(image(i), got));
                EXPECT_EQ(got, rows_of(i));
            }
        }
        FeatureCache again(options(0, fingerprint));
        for (int i = images_in_memory == 0 ? 1 : 4; i <= 6; ++i) {
            std::vector<float> got;
            EXPECT_EQ(again.rows(image(i)), i);
            ASSERT_TRUE(again.read(image(i), got));
            EXPECT_EQ(got, rows_of(i));
        }
        EXPECT_EQ(again.rows(image(7)), 0);
    }
}

TEST_P(FeatureCacheTest, EntriesAfterADamagedHeaderAreWrittenAgain) {
    {
        FeatureCache cache(options(0));
        for (int i = 0; i < 3; ++i) cache.store(image(i), features(i));
    }
    const int64_t entry = 40 + kValues * dtype_size(GetParam());
    {
        std::fstream file(file_, std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(64 + entry + 16);  // the number of values of the second entry
        file.put('\x03');
    }
    FeatureCache cache(options(0));
    expect(cache, 0);
    for (int i = 1; i < 3; ++i) {
        EXPECT_FALSE(cache.contains(image(i)));
        cache.store(image(i), features(i));
    }
    FeatureCache again(options(0));
    for (int i = 0; i < 3; ++i) expect(again, i);
}

TEST_P(FeatureCacheTest, UnwritableFileOnlyCostsTime) {
    fs::create_directories(folder_);
    std::ofstream(folder_ / "cache") << "a file where the folder should be";
    FeatureCache cache(options(1));
    for (int i = 0; i < 3; ++i) cache.store(image(i), features(i));
    expect(cache, 0);
    EXPECT_FALSE(cache.contains(image(1)));
    EXPECT_EQ(warnings_.size(), 1u);
}

TEST_P(FeatureCacheTest, AFileOfAnotherKindIsLeftAlone) {
    fs::create_directories(file_.parent_path());
    const std::string text(200, 'x');
    std::ofstream(file_) << text;
    FeatureCache cache(options(1));
    for (int i = 0; i < 3; ++i) cache.store(image(i), features(i));
    expect(cache, 0);
    EXPECT_FALSE(cache.contains(image(1)));
    EXPECT_EQ(read_file(file_), text);
    EXPECT_EQ(warnings_.size(), 1u);
    std::ofstream(file_) << "vilaf";  // cut short by a crash
    FeatureCache again(options(0));
    again.store(image(1), features(1));
    expect(again, 1);
}

TEST_P(FeatureCacheTest, WrongCountIsRefused) {
    FeatureCache cache(options(1));
    EXPECT_THROW(cache.store(image(0), std::vector<float>(5)), Error);
    EXPECT_THROW(cache.store(image(0), {}), Error);
}

INSTANTIATE_TEST_SUITE_P(DTypes, FeatureCacheTest, ::testing::Values(DType::F32, DType::BF16),
                         [](const auto& info) { return std::string(dtype_name(info.param)); });

}  // namespace
}  // namespace vila::tools
