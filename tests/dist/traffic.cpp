// Compares the bytes that ranks send per step (as counted by Collectives) and the memory that they
// use (as counted by the device) with formulas: P parameters of w bytes, gradients of g = 4 bytes,
// N ranks, k micro-batches, r = (N - 1) / N. Also checks collectives in the background.

#include <gtest/gtest.h>

#include <atomic>

#include "dist/sharded_adamw.h"
#include "dist/thread_ranks.h"
#include "tensor/check.h"
#include "tests/dist/job.h"

namespace vila::dist {
namespace {

constexpr double kGradient = 4.0;  // bytes

struct Layout {
    int64_t ranks, stage;
    DType dtype;
    std::string text() const { return str(ranks, " ranks, stage ", stage, ", ", dtype); }
};

// The model of one rank: blocks and other parameters, of sizes that no power of two divides.
class Model {
  public:
    Model(Collectives& job, const Layout& layout) : device_(job_device()) {
        const auto declare = [&](const std::string& name, const Shape& shape) {
            table_.declare({.name = name, .shape = shape, .init = {nn::InitKind::Normal, 1.0}});
        };
        declare("embed", {401, 211});
        for (int layer = 0; layer < 3; ++layer)
            declare(str("model.layers.", layer, ".weight"), {331, 331});
        table_.initialize(*device_, layout.dtype, 5, true);
        std::vector<nn::Parameter*> parameters;
        for (nn::Parameter& parameter : table_) {
            parameters.push_back(&parameter);
            const auto count = static_cast<double>(parameter.shape.numel());
            (block_of(parameter.name).empty() ? rest_ : blocks_) += count;
        }
        optimizer_.emplace(job, std::vector<ShardedGroup>{{"all", parameters, 0.1}}, AdamwOptions{},
                           layout.stage);
    }

    void step(int64_t micro_batches) {
        optimizer_->gradients().begin_step();
        for (int64_t i = 0; i < micro_batches; ++i) optimizer_->gradients().end_micro_batch();
        optimizer_->step(1.0, 1.0);
    }

    double blocks() const { return blocks_; }
    double rest() const { return rest_; }
    double all() const { return blocks_ + rest_; }
    Device& device() { return *device_; }
    ShardedAdamw& optimizer() { return *optimizer_; }

  private:
    std::unique_ptr<Device> device_;
    nn::ParameterTable table_;
    double blocks_ = 0.0, rest_ = 0.0;
    std::optional<ShardedAdamw> optimizer_;
};

double expected_bytes(const Model& model, const Layout& layout, double micro_batches) {
    const double k = micro_batches, g = kGradient;
    const auto w = static_cast<double>(dtype_size(layout.dtype));
    const double r = 1.0 - 1.0 / static_cast<double>(layout.ranks);
    if (layout.stage == 0) return r * model.all() * (k * g + g);
    if (layout.stage < 3) return r * model.all() * (k * g + w);
    return r * model.blocks() * k * (2 * w + g) + r * model.rest() * (k * g + w);
}

template <typename Body>
void for_every_layout(const Body& body) {
    for (const int64_t ranks : {1, 2, 4, 8})
        for (int64_t stage = 0; stage <= 3; ++stage) {
            // Emulated GPUs are slow: only two ranks, in stages 1 and 3.
            if (job_is_on_gpus() && (ranks != 2 || stage % 2 == 0)) continue;
            const Layout layout = {ranks, stage,
                                   (ranks / 2 + stage) % 2 == 0 ? DType::F32 : DType::BF16};
            run_job(ranks, [&](Collectives& job) { body(job, layout); });
        }
}

TEST(Traffic, BytesPerStepFollowTheFormulas) {
    for_every_layout([](Collectives& job, const Layout& layout) {
        Model model(job, layout);
        for (const int64_t micro_batches : {1, 3}) {
            const Traffic before = job.traffic();
            model.step(micro_batches);
            const Traffic step = job.traffic() - before;
            const double expected =
                expected_bytes(model, layout, static_cast<double>(micro_batches));
            EXPECT_NEAR(static_cast<double>(step.bytes_sent), expected, 0.01 * expected)
                << layout.text() << ", " << micro_batches << " micro-batches";
            EXPECT_GE(step.seconds, 0.0);
            EXPECT_EQ(step.exposed > 0.0, layout.ranks > 1) << layout.text();
        }
    });
}

TEST(Traffic, MemoryPerRankFollowsTheFormulas) {
    for_every_layout([](Collectives& job, const Layout& layout) {
        Model model(job, layout);
        const auto n = static_cast<double>(layout.ranks);
        const auto w = static_cast<double>(dtype_size(layout.dtype));
        // f32 masters share memory with the weights, except for those of sharded blocks.
        const bool sharded = layout.stage == 3 && layout.ranks > 1;
        const double share = layout.stage == 0 ? 1.0 : 1.0 / n;
        const double state = layout.dtype == DType::F32 ? 8.0 : 12.0;
        const double rest = model.rest() * (w + kGradient / n + state * share);
        const double blocks =
            model.blocks() * (sharded ? (kGradient + 12.0) / n : w + kGradient / n + state * share);
        const auto live = static_cast<double>(model.device().memory().live);
        EXPECT_LE(live, 1.05 * (rest + blocks)) << layout.text();
        EXPECT_GE(live, 0.99 * (rest + blocks)) << layout.text();
        // A step leaves no memory allocated. Its peak above the state is that of one bucket: the
        // values sent and received for its sum, its gradients and its whole weights.
        const int64_t before = model.device().memory().live;
        model.device().reset_peak();
        model.step(2);
        EXPECT_EQ(model.device().memory().live, before) << layout.text();
        const double unit = sharded ? std::max(model.blocks() / 3, model.rest()) : model.all();
        EXPECT_LE(static_cast<double>(model.device().memory().peak - before),
                  1.05 * unit * 2 * kGradient)
            << layout.text();
    });
}

// --- in the background ---

TEST(Traffic, BackgroundWorkFinishesBeforeTheNextCall) {
    on_every_implementation([](Collectives& job) {
        const auto ranks = static_cast<size_t>(job.ranks());
        std::vector<int64_t> out(ranks, job.rank()), in(ranks, -1), ranks_seen(ranks, -1);
        std::atomic<int> ended = 0;
        const Traffic before = job.traffic();
        for (int round = 0; round < 3; ++round) {
            job.begin_all_to_all(out.data(), in.data(), sizeof(int64_t), [&] { ++ended; });
            const int64_t mine = job.rank();
            if (round == 1) job.finish();
            job.all_gather(&mine, ranks_seen.data(), sizeof mine);
            EXPECT_EQ(ended, round + 1);
            for (size_t r = 0; r < ranks; ++r) {
                EXPECT_EQ(in[r], static_cast<int64_t>(r));
                EXPECT_EQ(ranks_seen[r], static_cast<int64_t>(r));
            }
        }
        EXPECT_EQ((job.traffic() - before).calls, 6);
    });
}

TEST(Traffic, BackgroundWorkRunsInOrder) {
    on_every_implementation([](Collectives& job) {
        const auto ranks = static_cast<size_t>(job.ranks());
        const int64_t mine = job.rank();
        std::vector<int64_t> gathered(ranks, -1), exchanged(ranks, -1);
        job.begin_all_gather(&mine, gathered.data(), sizeof mine);
        // The second sends the data that the first receives.
        job.begin_all_to_all(gathered.data(), exchanged.data(), sizeof mine, [] {});
        job.finish();
        EXPECT_EQ(exchanged, std::vector<int64_t>(ranks, job.rank()));
    });
}

// Counts the all-gathers that have begun.
class Gathers final : public CollectiveObserver {
  public:
    void enter(const char* collective, int64_t) override {
        if (std::string(collective) == "all_gather") ++count_;
    }
    void leave() override {}
    // Waits until there are `expected`, at most ten seconds, and returns the count.
    int64_t wait_for(int64_t expected) const {
        for (int tick = 0; tick < 1000 && count_ < expected; ++tick)
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        return count_;
    }

  private:
    std::atomic<int64_t> count_ = 0;
};

TEST(Traffic, PrefetchesWeightsOfTheNextBlock) {
    run_job(2, [](Collectives& job) {
        Model model(job, {2, 3, DType::F32});
        ShardedAdamw& zero = model.optimizer();
        zero.gradients().begin_step();
        Gathers gathers;
        job.set_observer(&gathers);
        for (int block = 0; block < 3; ++block) {
            zero.enter(str("model.layers.", block, "."));
            // After the last block of forward comes the first of backward().
            EXPECT_EQ(gathers.wait_for(block + 2), block + 2);
            zero.leave(str("model.layers.", block, "."));
        }
        zero.gradients().end_micro_batch();
        EXPECT_EQ(gathers.wait_for(6), 6);
        job.set_observer(nullptr);
    });
}

TEST(Traffic, FinishRethrowsErrorsOfTheBackground) {
    on_every_implementation([](Collectives& job) {
        std::vector<char> out(static_cast<size_t>(job.ranks())), in(out.size());
        job.begin_all_to_all(out.data(), in.data(), 1, [] { throw Error("no sum"); });
        EXPECT_THROW(job.finish(), Error);
        job.finish();
        job.barrier();
    });
}

TEST(Traffic, BackgroundSecondsAreNotExposed) {
    run_thread_ranks(2, [](Collectives& job) {
        std::vector<char> out(2), in(2);
        const Traffic before = job.traffic();
        // Rank 1 arrives later; rank 0 does something else in the meantime.
        if (job.rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(200));
        job.begin_all_to_all(out.data(), in.data(), 1, [] {});
        if (job.rank() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(400));
        job.finish();
        const Traffic spent = job.traffic() - before;
        if (job.rank() == 0) {
            EXPECT_GT(spent.seconds, 0.1);
            EXPECT_LT(spent.exposed, spent.seconds);
        }
    });
}

}  // namespace
}  // namespace vila::dist
