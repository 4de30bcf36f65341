#include "data/loader/loader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <new>
#include <set>

#include "tensor/device.h"
#include "tests/support/text_helpers.h"

namespace vila::data {
namespace {

// Records with 1 to `longest` targets; every second one has an image. Some may be broken.
class FakeDataset final : public Dataset {
  public:
    FakeDataset(std::string name, int64_t size, int64_t longest = 9)
        : name_(std::move(name)), size_(size), longest_(longest) {}

    int64_t size() const override { return size_; }
    std::string where(int64_t index) const override { return name_ + ":" + std::to_string(index); }
    Sample get(int64_t index, const TemplateContext&) const override {
        VILA_CHECK(!broken.contains(index), where(index), ": broken");
        Sample sample;
        sample.ids = {1};
        sample.labels = {kIgnoreLabel};
        if (index % 2 == 0) {
            sample.ids.push_back(kImageToken);
            sample.labels.push_back(kIgnoreLabel);
            sample.images.push_back({name_ + "/" + std::to_string(index)});
        }
        if (late.contains(index)) {
            sample.ids.resize(sample.ids.size() + 10, 2);
            sample.labels.resize(sample.ids.size(), kIgnoreLabel);
        }
        for (int64_t i = 0; i <= index % longest_; ++i) {
            sample.ids.push_back(static_cast<int32_t>(index));
            sample.labels.push_back(untaught.contains(index) ? kIgnoreLabel : sample.ids.back());
        }
        sample.id = where(index);
        return sample;
    }

    std::set<int64_t> broken;    // records that throw
    std::set<int64_t> untaught;  // records without targets
    std::set<int64_t> late;      // records with ten more tokens before their targets

  private:
    std::string name_;
    int64_t size_, longest_;
};

// Returns the content of a step as text.
std::string shown(const StepBatch& batch) {
    std::string text = std::to_string(batch.step) + ":";
    for (const MicroBatch& micro_batch : batch.micro_batches) {
        text += " |";
        for (const LoadedSample& loaded : micro_batch.samples) {
            text += " " + loaded.sample.id + "x" + std::to_string(loaded.sample.ids.size());
            EXPECT_EQ(loaded.images.size(), loaded.sample.images.size());
            for (const LoadedImage& image : loaded.images)
                text += "(" + std::to_string(static_cast<int64_t>(image.values.at(0))) + ")";
        }
    }
    return text;
}

class LoaderTest : public testing::Test {
  protected:
    std::unique_ptr<Loader> loader(const LoaderOptions& options) {
        return std::make_unique<Loader>(
            std::vector<const Dataset*>{&first_, &second_}, std::vector<double>{1, 3},
            TemplateContext{*tokenizer_, chat_},
            [this](const ImageRef& image, uint64_t) { return load(image); }, options);
    }
    LoadedImage load(const ImageRef& image) const {
        VILA_CHECK(!bad_images_.contains(image.path), image.path, ": no such image");
        return {Shape{1}, {static_cast<float>(image.path.size())}, 4};
    }
    static LoaderOptions options() {
        LoaderOptions options;
        options.max_length = 16;
        options.image_tokens = [](const ImageRef&) { return 4; };
        options.global_batch = 12;
        options.micro_batch = 4;
        options.seed = 7;
        return options;
    }
    std::vector<std::string> steps(const LoaderOptions& options, int64_t count) {
        const auto made = loader(options);
        std::vector<std::string> steps;
        for (int64_t i = 0; i < count; ++i) steps.push_back(shown(made->next()));
        return steps;
    }

    FakeDataset first_{"a", 40}, second_{"b", 90};
    std::set<std::string> bad_images_;
    std::unique_ptr<Tokenizer> tokenizer_ = byte_tokenizer();
    ChatTemplate chat_ = ChatTemplate::named("qa");
};

TEST_F(LoaderTest, DeliversTheMixtureInOrder) {
    const Mixture mixture({40, 90}, {1, 3}, 7);
    const auto made = loader(options());
    EXPECT_EQ(made->steps_per_epoch(), 130 / 12);
    for (int64_t step = 0; step < 25; ++step) {
        EXPECT_EQ(made->step(), step);
        const StepBatch batch = made->next();
        EXPECT_EQ(batch.step, step);
        ASSERT_EQ(batch.micro_batches.size(), 3u);
        int64_t position = step * 12, tokens = 0, targets = 0;
        for (const MicroBatch& micro_batch : batch.micro_batches) {
            ASSERT_EQ(micro_batch.samples.size(), 4u);
            for (const LoadedSample& loaded : micro_batch.samples) {
                const SampleAddress address = mixture.at(position++);
                EXPECT_EQ(loaded.sample.source, address.source);
                EXPECT_EQ(loaded.sample.index, address.index);
                tokens += spliced_length(loaded.sample);
                targets += count_targets(loaded.sample);
            }
        }
        EXPECT_EQ(batch.tokens, tokens);
        EXPECT_EQ(batch.targets, targets);
        EXPECT_EQ(batch.truncated, 0);
    }
}

TEST_F(LoaderTest, ThreadsAndPrefetchDoNotChangeSteps) {
    first_.broken = {3, 4};
    bad_images_ = {"b/10", "b/12"};
    LoaderOptions plain = options();
    plain.max_bad_share = 1;
    for (const bool packs : {false, true}) {
        plain.pack = packs;
        plain.threads = 0;
        const auto expected = steps(plain, 30);
        for (const int threads : {1, 2, 3, 8}) {
            for (const int64_t prefetch : {1, 5}) {
                LoaderOptions other = plain;
                other.threads = threads;
                other.prefetch = prefetch;
                EXPECT_EQ(steps(other, 30), expected) << threads << " threads";
            }
        }
    }
}

TEST_F(LoaderTest, ResumesAtAnyStep) {
    for (const bool packs : {false, true}) {
        LoaderOptions plain = options();
        plain.pack = packs;
        plain.threads = 2;
        const auto expected = steps(plain, 20);
        LoaderOptions later = plain;
        later.start_step = 13;
        EXPECT_EQ(steps(later, 7),
                  (std::vector<std::string>(expected.begin() + 13, expected.end())));
        const auto made = loader(plain);
        for (const int64_t step : {0, 17, 3, 4, 19, 0}) {
            if (made->step() != step) made->skip_to(step);
            EXPECT_EQ(made->step(), step);
            EXPECT_EQ(shown(made->next()), expected[step]);
        }
        made->skip_to(int64_t{1} << 40);
        EXPECT_EQ(made->next().step, int64_t{1} << 40);
    }
}

// All ranks together process the samples that a single rank would, each once.
TEST_F(LoaderTest, RanksDivideTheBatch) {
    for (const bool packs : {false, true}) {
        LoaderOptions alone = options();
        alone.pack = packs;
        const auto whole = loader(alone);
        std::vector<std::unique_ptr<Loader>> ranks;
        for (int64_t rank = 0; rank < 4; ++rank) {
            LoaderOptions part = alone;
            part.rank = rank;
            part.ranks = 4;
            ranks.push_back(loader(part));
        }
        for (int64_t step = 0; step < 10; ++step) {
            std::multiset<std::string> expected, got;
            const StepBatch all = whole->next();
            for (const MicroBatch& micro_batch : all.micro_batches)
                for (const LoadedSample& loaded : micro_batch.samples)
                    expected.insert(loaded.sample.id);
            std::set<size_t> counts;
            for (const auto& rank : ranks) {
                const StepBatch part = rank->next();
                counts.insert(part.micro_batches.size());
                for (const MicroBatch& micro_batch : part.micro_batches) {
                    EXPECT_FALSE(micro_batch.samples.empty());
                    for (const LoadedSample& loaded : micro_batch.samples)
                        got.insert(loaded.sample.id);
                }
            }
            EXPECT_EQ(got, expected);
            EXPECT_EQ(counts.size(), 1u) << "ranks run the same number of micro-batches";
        }
    }
}

TEST_F(LoaderTest, RankInvariantRanksShareTheMicroBatchesOfOneRank) {
    for (const bool packs : {false, true})
        for (const int64_t ranks : {1, 2, 3, 5, 20}) {
            LoaderOptions alone = options();
            alone.pack = packs;
            alone.micro_batch = packs ? 1 : 2;
            alone.rank_invariant = true;
            const auto whole = loader(alone);
            std::vector<std::unique_ptr<Loader>> parts;
            for (int64_t rank = 0; rank < ranks; ++rank) {
                LoaderOptions part = alone;
                part.rank = rank;
                part.ranks = ranks;
                parts.push_back(loader(part));
            }
            for (int64_t step = 0; step < 5; ++step) {
                const StepBatch all = whole->next();
                StepBatch dealt;
                dealt.step = step;
                std::vector<StepBatch> batches;
                for (const auto& part : parts) batches.push_back(part->next());
                for (size_t i = 0; i < all.micro_batches.size(); ++i)
                    dealt.micro_batches.push_back(
                        batches[i % parts.size()].micro_batches.at(i / parts.size()));
                EXPECT_EQ(shown(dealt), shown(all)) << ranks << " ranks";
                int64_t targets = 0;
                for (const StepBatch& batch : batches) targets += batch.targets;
                EXPECT_EQ(targets, all.targets);
            }
        }
}

TEST_F(LoaderTest, PackedMicroBatchesStayWithinTheBudget) {
    LoaderOptions packed = options();
    packed.pack = true;
    packed.micro_batch = 2;
    const auto made = loader(packed);
    int64_t packed_count = 0;
    for (int64_t step = 0; step < 20; ++step) {
        const StepBatch batch = made->next();
        packed_count += static_cast<int64_t>(batch.micro_batches.size());
        size_t samples = 0;
        for (const MicroBatch& micro_batch : batch.micro_batches) {
            int64_t tokens = 0;
            for (const LoadedSample& loaded : micro_batch.samples)
                tokens += spliced_length(loaded.sample);
            EXPECT_LE(tokens, 32);
            samples += micro_batch.samples.size();
        }
        EXPECT_EQ(samples, 12u);
    }
    EXPECT_LT(packed_count, 20 * 6) << "fewer than two samples each would give";
}

TEST_F(LoaderTest, CutsLongSamples) {
    LoaderOptions brief = options();
    brief.max_length = 7;
    const auto made = loader(brief);
    int64_t truncated = 0;
    for (int64_t step = 0; step < 10; ++step) {
        const StepBatch batch = made->next();
        truncated += batch.truncated;
        EXPECT_TRUE(batch.bad_samples.empty());
        for (const MicroBatch& micro_batch : batch.micro_batches)
            for (const LoadedSample& loaded : micro_batch.samples)
                EXPECT_LE(spliced_length(loaded.sample), 7);
    }
    EXPECT_GT(truncated, 20);
}

TEST_F(LoaderTest, ReplacesCountsAndNamesBadSamples) {
    first_.broken = {5};
    second_.untaught = {7};
    bad_images_ = {"b/20"};
    for (const bool packs : {false, true}) {
        LoaderOptions tolerant = options();
        tolerant.pack = packs;
        tolerant.max_bad_share = 0.2;
        std::vector<BadSample> told;
        tolerant.on_bad_sample = [&](const BadSample& sample) { told.push_back(sample); };
        const auto made = loader(tolerant);
        std::map<std::string, std::string> reasons;
        size_t listed = 0;
        for (int64_t step = 0; step < 40; ++step) {
            const StepBatch batch = made->next();
            listed += batch.bad_samples.size();
            EXPECT_EQ(told.size(), listed);
            for (const BadSample& sample : batch.bad_samples) {
                EXPECT_EQ(sample.step, step);
                reasons[sample.where] = sample.reason;
            }
            for (const MicroBatch& micro_batch : batch.micro_batches)
                for (const LoadedSample& loaded : micro_batch.samples) {
                    EXPECT_FALSE(reasons.contains(loaded.sample.id)) << loaded.sample.id;
                    EXPECT_GT(count_targets(loaded.sample), 0);
                }
        }
        EXPECT_EQ(reasons, (std::map<std::string, std::string>{
                               {"a:5", "broken"},
                               {"b:7", "no target is left of its 9 positions within max_length 16"},
                               {"b:20", "b/20: no such image"}}));
    }
}

TEST_F(LoaderTest, RecordsAreNotBadBecauseMemoryRanOut) {
    const auto next = [&](const ImageLoader& load) {
        LoaderOptions tolerant = options();
        tolerant.max_bad_share = 1.0;
        Loader({&first_, &second_}, {1, 3}, {*tokenizer_, chat_}, load, tolerant).next();
    };
    EXPECT_THROW(next([](const ImageRef&, uint64_t) -> LoadedImage { throw std::bad_alloc(); }),
                 std::bad_alloc);
    EXPECT_THROW(next([](const ImageRef&, uint64_t) -> LoadedImage { throw OutOfMemory("full"); }),
                 OutOfMemory);
}

TEST_F(LoaderTest, PackedReplacementFitsInItsPlace) {
    for (int64_t i = 0; i < 90; i += 4) bad_images_.insert("b/" + std::to_string(i));
    LoaderOptions packed = options();
    packed.pack = true;
    packed.micro_batch = 1;
    packed.max_bad_share = 1;
    packed.threads = 2;
    const auto made = loader(packed);
    for (int64_t step = 0; step < 30; ++step)
        for (const MicroBatch& micro_batch : made->next().micro_batches) {
            int64_t tokens = 0;
            for (const LoadedSample& loaded : micro_batch.samples)
                tokens += spliced_length(loaded.sample);
            EXPECT_LE(tokens, 16);
        }
}

TEST_F(LoaderTest, StopsAfterTooManyBadSamples) {
    for (int64_t i = 0; i < 90; i += 3) second_.broken.insert(i);
    LoaderOptions strict = options();
    strict.threads = 3;
    const std::string message = message_of([&] { steps(strict, 30); });
    EXPECT_TRUE(message.find(" of 130 records cannot be used, more than the 1 allowed "
                             "(data.max_bad_share = 0.01); the first: b:") != std::string::npos)
        << message;
    EXPECT_TRUE(message.ends_with(": broken")) << message;
    second_.broken = {3};
    EXPECT_EQ(message_of([&] { steps(strict, 30); }), "no error");
}

// The share is that of all records, also before most of them have been read.
TEST_F(LoaderTest, JudgesBadSamplesByAllRecords) {
    for (int64_t i = 0; i < 13; ++i) second_.broken.insert(i);
    LoaderOptions strict = options();
    strict.max_bad_share = 0.1;  // 13 of 130
    EXPECT_EQ(message_of([&] { steps(strict, 30); }), "no error");
    first_.broken = {7};
    const std::string message = message_of([&] { steps(strict, 60); });
    EXPECT_TRUE(message.starts_with("14 of 130 records cannot be used, more than the 13"))
        << message;
}

TEST_F(LoaderTest, CountsTheBadSamplesOfOtherRanks) {
    second_.broken = {3};
    const auto made = loader(options());
    made->count_bad(std::vector<BadSample>{{0, 1, 3, "b:3", "broken"}});
    for (int64_t step = 0; step < 30; ++step) EXPECT_TRUE(made->next().bad_samples.empty());
    EXPECT_EQ(message_of([&] {
                  made->count_bad(std::vector<BadSample>{{2, 0, 9, "a:9", "broken"}});
              }),
              "2 of 130 records cannot be used, more than the 1 allowed (data.max_bad_share = "
              "0.01); the first: b:3: broken");
}

TEST(BadRecords, AllowsAShareOfAtLeastAHundredRecords) {
    EXPECT_EQ(allowed_bad_records(5, 0.01), 1);
    EXPECT_EQ(allowed_bad_records(5, 0.009), 0);
    EXPECT_EQ(allowed_bad_records(100, 0.29), 29);
    EXPECT_EQ(allowed_bad_records(250, 0.01), 2);
    EXPECT_EQ(allowed_bad_records(1000000, 0.0), 0);
    EXPECT_EQ(allowed_bad_records(7, 1.0), 100);
    EXPECT_EQ(too_many_bad_records(1, 5, 0.01), "");
    EXPECT_EQ(too_many_bad_records(2, 5, 0.01),
              "2 of 5 records cannot be used, more than the 1 allowed (data.max_bad_share = 0.01, "
              "of 100 records)");
}

// Two bad records of 130 are allowed, and stay two in every epoch.
TEST_F(LoaderTest, CountsABadRecordOnce) {
    second_.broken = {3};
    bad_images_ = {"a/6"};
    LoaderOptions strict = options();
    strict.max_bad_share = 0.02;
    std::vector<std::string> told;
    strict.on_bad_sample = [&](const BadSample& sample) { told.push_back(sample.where); };
    size_t listed = 0;
    {
        const auto made = loader(strict);
        for (int64_t step = 0; step < 200; ++step) listed += made->next().bad_samples.size();
    }  // ends its threads, which read first_
    std::sort(told.begin(), told.end());
    EXPECT_EQ(told, (std::vector<std::string>{"a:6", "b:3"}));
    EXPECT_EQ(listed, 2u);
    // A third one is too many: 3 of 130 records are 2.3 %.
    first_.broken = {9};
    const std::string message = message_of([&] { steps(strict, 200); });
    EXPECT_TRUE(message.starts_with("3 of 130 records cannot be used, more than the 2")) << message;
}

// More bad records may follow each other if more are allowed: here 30 of every 40.
TEST_F(LoaderTest, AllowsLongRunsOfBadRecords) {
    for (int64_t i = 0; i < 90; ++i)
        if (i % 4 != 0) second_.broken.insert(i);
    LoaderOptions tolerant = options();
    tolerant.max_bad_share = 0.9;
    EXPECT_EQ(message_of([&] { steps(tolerant, 60); }), "no error");
}

// A good record replaces a bad one that is shorter than its question. It is skipped, but not
// counted as bad.
TEST_F(LoaderTest, RecordsThatDoNotFitAreNotBad) {
    for (int64_t i = 0; i < 90; i += 18) bad_images_.insert("b/" + std::to_string(i));
    for (int64_t i = 1; i < 90; i += 2) second_.late.insert(i);
    LoaderOptions packed = options();
    packed.pack = true;
    packed.max_length = 30;
    packed.max_bad_share = 0.2;
    const auto made = loader(packed);
    size_t bad = 0;
    for (int64_t step = 0; step < 40; ++step)
        for (const BadSample& sample : made->next().bad_samples) {
            ++bad;
            EXPECT_NE(sample.reason.find("no such image"), std::string::npos) << sample.reason;
        }
    EXPECT_EQ(bad, 5u);
}

TEST_F(LoaderTest, StopsIfEverySampleIsBad) {
    for (int64_t i = 0; i < 90; ++i) second_.broken.insert(i);
    LoaderOptions tolerant = options();
    tolerant.max_bad_share = 1;
    tolerant.threads = 2;
    const auto made = loader(tolerant);
    for (int repeat = 0; repeat < 2; ++repeat)
        EXPECT_TRUE(message_of([&] {
                        made->next();
                    }).starts_with("1000 records in a row could not be used, the last of them b:"));
}

TEST_F(LoaderTest, RefusesInvalidOptions) {
    const auto message = [&](const std::function<void(LoaderOptions&)>& change) {
        LoaderOptions changed = options();
        change(changed);
        return message_of([&] { loader(changed); });
    };
    EXPECT_EQ(message([](auto& o) { o.max_length = 1; }), "max_length is 1: expected at least 2");
    EXPECT_EQ(message([](auto& o) { o.ranks = 5; }),
              "global_batch is 12: expected a multiple of the 5 ranks");
    EXPECT_EQ(message([](auto& o) { o.rank = 1; }), "rank 1 of 1");
    EXPECT_EQ(message([](auto& o) { o.micro_batch = 0; }), "micro_batch is 0: expected at least 1");
    EXPECT_EQ(message([](auto& o) { o.start_step = -1; }), "training step -1: expected 0 or more");
    EXPECT_EQ(message([](auto& o) { o.threads = -1; }),
              "the number of loader threads is -1: expected at least 0");
    const TemplateContext context{*tokenizer_, chat_};
    EXPECT_EQ(message_of([&] { Loader({}, {}, context, nullptr, options()); }),
              "there is no data source: expected at least one");
    const FakeDataset empty("e", 0);
    EXPECT_EQ(message_of([&] {
                  Loader({&first_, &empty}, {1, 1}, context, nullptr, options());
              }),
              "data source 1 is empty: expected at least one record");
}

}  // namespace
}  // namespace vila::data
