#include "tools/run/feature_memory.h"

#include <gtest/gtest.h>

#include <thread>

namespace vila::tools {
namespace {

// Features of `count` values, all equal to `value`: 4 * count bytes.
FeatureMemory::Features features(int64_t count, float value) {
    data::LoadedImage image;
    image.values.assign(static_cast<size_t>(count), value);
    return std::make_shared<const data::LoadedImage>(std::move(image));
}

TEST(FeatureMemory, ComputesEachImageOnce) {
    FeatureMemory memory(1000);
    int computed = 0;
    const auto compute = [&] {
        ++computed;
        return features(10, static_cast<float>(computed));
    };
    EXPECT_EQ(memory.get("a", compute)->values[0], 1.0f);
    EXPECT_EQ(memory.get("b", compute)->values[0], 2.0f);
    EXPECT_EQ(memory.get("a", compute)->values[0], 1.0f);
    EXPECT_EQ(computed, 2);
    EXPECT_EQ(memory.bytes(), 80);
}

TEST(FeatureMemory, ForgetsTheLeastRecentlyUsed) {
    FeatureMemory memory(100);  // two images of 40 bytes
    int computed = 0;
    const auto ask = [&](const std::string& key) {
        memory.get(key, [&] {
            ++computed;
            return features(10, 0.0f);
        });
    };
    ask("a");
    ask("b");
    ask("a");
    ask("c");  // forgets b
    EXPECT_EQ(memory.bytes(), 80);
    EXPECT_EQ(computed, 3);
    ask("a");
    ask("c");
    EXPECT_EQ(computed, 3);
    ask("b");
    EXPECT_EQ(computed, 4);
}

TEST(FeatureMemory, ReturnsButDoesNotKeepWhatIsTooLarge) {
    FeatureMemory memory(100);
    EXPECT_EQ(memory.get("a", [] { return features(26, 3.0f); })->values.size(), 26u);
    EXPECT_EQ(memory.bytes(), 0);
}

TEST(FeatureMemory, KeepsNothingIfComputingFails) {
    FeatureMemory memory(100);
    const auto fail = []() -> FeatureMemory::Features { throw std::runtime_error("broken"); };
    EXPECT_THROW(memory.get("a", fail), std::runtime_error);
    EXPECT_EQ(memory.get("a", [] { return features(1, 5.0f); })->values[0], 5.0f);
}

TEST(FeatureMemory, ServesSeveralThreads) {
    FeatureMemory memory(400);  // ten of the twenty images
    std::vector<std::thread> threads;
    std::atomic<int> wrong = 0;
    for (int thread = 0; thread < 4; ++thread)
        threads.emplace_back([&, thread] {
            for (int i = 0; i < 500; ++i) {
                const int image = (i * (thread + 3)) % 20;
                const auto found = memory.get(
                    std::to_string(image), [&] { return features(10, static_cast<float>(image)); });
                wrong += found->values[9] != static_cast<float>(image);
            }
        });
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(wrong, 0);
    EXPECT_LE(memory.bytes(), 400);
}

}  // namespace
}  // namespace vila::tools
