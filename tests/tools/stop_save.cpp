// StopSave: what a signal saves, wherever the training thread is.

#include "tools/train/stop_save.h"

#include <unistd.h>

#include <csignal>
#include <optional>
#include <thread>

#include <gtest/gtest.h>

#include "tensor/cpu/cpu_device.h"
#include "tests/support/death_test_folder.h"

namespace vila::tools {
namespace {

constexpr int64_t kFirstStep = 4;

// A state of one value.
class OneValue final : public TrainingState {
  public:
    explicit OneValue(Device& device)
        : TrainingState({}), value_(Tensor::from_values(device, {1}, std::vector<double>{0.0})) {}

    void begin_step() override {}
    void end_micro_batch() override {}
    dist::ExactSum gradient_squares() override { return {}; }
    void update(double value, double) override {
        value_.copy_from(Tensor::from_values(value_.device(), {1}, std::vector<double>{value}));
    }
    std::vector<TensorPart> parts() override { return whole_tensors({{"value", value_}}); }

  private:
    int64_t updates() const override { return 0; }
    void restore_tensors(int64_t, const Checkpoint&) override {}

    Tensor value_;
};

// A training that is stopped in a process of its own.
struct Training {
    explicit Training(const std::filesystem::path& folder, int64_t ranks = 1)
        : files(folder, 0, ranks) {
        const StopSaveParts parts = {.stop = stop,
                                     .files = files,
                                     .watchdog = watchdog,
                                     .state = state,
                                     .log = nullptr,
                                     .on_saved = {},
                                     .facts = facts,
                                     .checkpoints = folder / "checkpoints",
                                     .keep = 2,
                                     .limit = 10.0,
                                     .on_training_thread = false};
        save.emplace(parts, kFirstStep);
    }

    void stop_after(int milliseconds) {
        std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
        ::kill(::getpid(), SIGTERM);
    }

    StopSignals stop;
    const std::unique_ptr<CpuDevice> device = make_cpu_device(1);
    OneValue state{*device};
    const Json facts = {{"fact", 1}};
    dist::Watchdog watchdog{0, 1};
    dist::FileRanks files;
    std::optional<StopSave> save;
};

void pause_for_ever() {
    while (true) std::this_thread::sleep_for(std::chrono::seconds(1));
}

class StopSaveDeathTest : public ::testing::Test {
  protected:
    StopSaveDeathTest() { ::testing::FLAGS_gtest_death_test_style = "threadsafe"; }

    double saved_value(int64_t step) const {
        const auto device = make_cpu_device(1);
        const Checkpoint checkpoint = load_checkpoint(
            folder / "checkpoints" / ("step-0000000" + std::to_string(step)), *device);
        EXPECT_EQ(checkpoint.info.at("fact").get<int>(), 1);
        return checkpoint.tensor("value").to_vector<double>().front();
    }

    const DeathTestFolder shared;
    const std::filesystem::path& folder = shared.path();
};

TEST_F(StopSaveDeathTest, SavesWhileTheNextStepComputes) {
    EXPECT_EXIT(
        {
            Training training(folder);
            training.save->begin_update();
            training.state.update(5.0, 1.0);
            training.save->end_step(kFirstStep + 1, kFirstStep);
            training.stop_after(0);
            // The update of the next step must not begin any more.
            std::this_thread::sleep_for(std::chrono::milliseconds(300));
            training.save->begin_update();
            training.state.update(6.0, 1.0);
            pause_for_ever();
        },
        ::testing::ExitedWithCode(143), "stopped at step 5; the same command resumes from there");
    EXPECT_EQ(saved_value(kFirstStep + 1), 5.0);
}

TEST_F(StopSaveDeathTest, WaitsForAnUpdateThatHasBegun) {
    EXPECT_EXIT(
        {
            Training training(folder);
            training.save->begin_update();
            training.stop_after(0);
            std::this_thread::sleep_for(std::chrono::milliseconds(300));
            training.state.update(5.0, 1.0);
            training.save->end_step(kFirstStep + 1, kFirstStep);
            pause_for_ever();
        },
        ::testing::ExitedWithCode(143), "stopped at step 5");
    EXPECT_EQ(saved_value(kFirstStep + 1), 5.0);
}

TEST_F(StopSaveDeathTest, LeavesAStepThatAnotherRankHasNotBegun) {
    EXPECT_EXIT(
        {
            Training training(folder, 2);
            dist::FileRanks other(folder, 1, 2);
            const int64_t begun = kFirstStep;
            other.send(&begun, sizeof begun);
            training.save->begin_update();
            training.stop_after(0);
            pause_for_ever();  // waits for the other rank
        },
        ::testing::ExitedWithCode(143), "stopped at step 4");
    EXPECT_FALSE(std::filesystem::exists(folder / "checkpoints"));
}

TEST_F(StopSaveDeathTest, FailsWithOneLine) {
    EXPECT_EXIT(
        {
            std::filesystem::remove_all(folder / "checkpoints");
            std::filesystem::create_symlink("/proc/none", folder / "checkpoints");
            Training training(folder);
            training.save->begin_update();
            training.save->end_step(kFirstStep + 1, kFirstStep);
            training.stop_after(0);
            pause_for_ever();
        },
        ::testing::ExitedWithCode(1),
        "vila train: stopped by a signal at step 5, whose checkpoint could not be saved .*resumes "
        "from step 4");
}

TEST_F(StopSaveDeathTest, EndsWithoutASaveAfterTheLoop) {
    EXPECT_EXIT(
        {
            Training training(folder);
            training.save.reset();
            training.stop_after(0);
            pause_for_ever();
        },
        ::testing::ExitedWithCode(143), "");
    EXPECT_FALSE(std::filesystem::exists(folder / "checkpoints"));
}

}  // namespace
}  // namespace vila::tools
