// How the watchdog describes a job that hangs, and how it ends the process.

#include "dist/watchdog.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <fstream>

#include "tests/dist/job.h"
#include "tests/support/temporary_directory.h"

namespace vila::dist {
namespace {

RankStatus status(int64_t collectives, bool in_collective, const char* collective = "all_gather") {
    RankStatus status;
    status.step = 17;
    status.collectives = collectives;
    status.bytes = 64;
    status.in_collective = in_collective ? 1 : 0;
    std::strcpy(status.phase.data(), "gradients");
    std::strcpy(status.collective.data(), collective);
    return status;
}

// Describes a hang in which all ranks but `silent` write their status between two observations.
std::string describe(std::vector<RankStatus> ranks, const std::vector<size_t>& silent = {}) {
    const std::vector<RankStatus> before = ranks;
    for (RankStatus& rank : ranks) ++rank.count;
    for (const size_t rank : silent) --ranks[rank].count;
    return describe_hang(before, ranks);
}

// A job of one rank whose transfers fail.
class FailingRanks final : public Collectives {
  public:
    std::atomic<bool> fails = false;
    std::atomic<int64_t> polls = 0;

    int64_t rank() const override { return 0; }
    int64_t ranks() const override { return 1; }
    std::string name() const override { return "failing"; }
    std::string transfer_error() override {
        ++polls;
        return fails ? "the cable is out" : "";
    }

  private:
    void do_barrier() override {}
    void do_broadcast(void*, int64_t, int64_t) override {}
    void do_all_gather(const void*, void*, int64_t) override {}
    void do_all_to_all(const void*, void*, int64_t) override {}
};

TEST(Watchdog, NamesTheRankThatDoesNotRun) {
    EXPECT_EQ(describe({status(9, true), status(8, false), status(9, true)}, {1}),
              "rank 1 does not run (step 17, gradients, after collective 8 (all_gather of 64 "
              "bytes))");
    // The same for a rank that never wrote its status.
    EXPECT_NE(describe({status(9, true), RankStatus{}}, {1}).find("rank 1 does not run"),
              std::string::npos);
}

TEST(Watchdog, NamesTheRankThatIsLate) {
    EXPECT_EQ(describe({status(9, true), status(9, true), status(8, false)}),
              "rank 2 holds up the others (step 17, gradients, after collective 8 (all_gather of "
              "64 bytes))");
    EXPECT_EQ(describe({status(7, true), status(9, true)}),
              "rank 0 holds up the others (step 17, gradients, in collective 7 (all_gather of 64 "
              "bytes))");
}

TEST(Watchdog, NamesTheRankInAnotherCollective) {
    EXPECT_EQ(
        describe({status(9, true), status(9, true), status(9, true, "barrier")}),
        "rank 2 is in a different collective from the others (step 17, gradients, in collective 9 "
        "(barrier of 64 bytes)); the others: step 17, gradients, in collective 9 (all_gather "
        "of 64 bytes)");
    // A rank that skipped a collective is ahead of those that wait for it.
    EXPECT_EQ(describe({status(9, true), status(10, true), status(9, true)}).find("rank 1 is"),
              size_t{0});
    const std::string two = describe({status(9, true), status(9, true, "barrier")});
    EXPECT_EQ(two.find("the ranks are in different collectives: rank 0 "), size_t{0}) << two;
    EXPECT_NE(describe({status(9, true), status(9, true)}).find("wait for the network"),
              std::string::npos);
}

TEST(Watchdog, DescribesRanksWhoseGpusWait) {
    EXPECT_EQ(describe({status(9, false), status(8, false), status(9, false)}),
              "rank 1 holds up the others (step 17, gradients, after collective 8 (all_gather of "
              "64 bytes))");
    EXPECT_EQ(
        describe({status(9, false), status(9, false)}),
        "no rank waits for another, unless their GPUs do: rank 0 (step 17, gradients, after "
        "collective 9 (all_gather of 64 bytes)); rank 1 (step 17, gradients, after collective "
        "9 (all_gather of 64 bytes))");
}

TEST(WatchdogDeathTest, EndsTheProcessAfterTheTimeLimitOfAPhase) {
    if (process_job().ranks() > 1) GTEST_SKIP() << "forks, which MPI does not support";
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    const TemporaryDirectory folder;
    EXPECT_EXIT(
        {
            Watchdog watchdog(0, 2);
            watchdog.share(folder.path());
            watchdog.phase("gradients", 4, 0.2);
            std::this_thread::sleep_for(std::chrono::seconds(20));
        },
        testing::ExitedWithCode(kWatchdogExit),
        "rank 0: no progress in phase 'gradients' of step 4 .* rank 1 does not run");
    // Before the ranks agree on a folder.
    EXPECT_EXIT(
        {
            Watchdog watchdog(1, 2);
            watchdog.phase("start", 0, 0.2);
            watchdog.enter("all_gather", 8);
            std::this_thread::sleep_for(std::chrono::seconds(20));
        },
        testing::ExitedWithCode(kWatchdogExit),
        "rank 1: no progress in phase 'start' .* another rank has not arrived; this rank: .* in "
        "collective 1 .all_gather of 8 bytes");
}

TEST(WatchdogDeathTest, LeavesTheReportToTheFirstRank) {
    if (process_job().ranks() > 1) GTEST_SKIP() << "forks, which MPI does not support";
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(
        {
            const TemporaryDirectory folder;
            Watchdog watchdog(0, 2);
            watchdog.share(folder.path());
            std::ofstream(folder.path() / "report") << "another rank was first";
            watchdog.phase("gradients", 4, 0.2);
            std::this_thread::sleep_for(std::chrono::seconds(20));
        },
        testing::ExitedWithCode(kWatchdogExit), "^$");
}

// Ranks in lockstep exceed a limit together. If the one that reports it sees progress, all go on.
TEST(WatchdogDeathTest, GoesOnIfThereIsProgressAfterAnotherRankReported) {
    if (process_job().ranks() > 1) GTEST_SKIP() << "forks, which MPI does not support";
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(
        {
            const TemporaryDirectory folder;
            {
                Watchdog watchdog(0, 2);
                watchdog.share(folder.path());
                std::ofstream(folder.path() / "report") << "another rank was first";
                watchdog.phase("gradients", 4, 0.2);
                std::this_thread::sleep_for(std::chrono::milliseconds(1500));
                watchdog.phase("gradients", 5, 0.0);
                std::this_thread::sleep_for(std::chrono::seconds(5));
            }
            std::_Exit(0);
        },
        testing::ExitedWithCode(0), "^$");
}

TEST(WatchdogDeathTest, NamesThePhaseOfASingleRank) {
    if (process_job().ranks() > 1) GTEST_SKIP() << "forks, which MPI does not support";
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(
        {
            Watchdog watchdog(0, 1, "; see the key");
            watchdog.last_phase("save", 4, 0.6);
            watchdog.phase("gradients", 5, 0.0);
            std::this_thread::sleep_for(std::chrono::seconds(20));
        },
        testing::ExitedWithCode(kWatchdogExit),
        "^vila: no progress in phase 'save' of step 4 for 1 s: a file or a device does not "
        "respond; see the key");
}

TEST(WatchdogDeathTest, EndsTheProcessAfterATransferError) {
    if (process_job().ranks() > 1) GTEST_SKIP() << "forks, which MPI does not support";
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(
        {
            FailingRanks ranks;
            Watchdog watchdog(1, 2);
            watchdog.monitor(&ranks);
            watchdog.phase("update", 4, 0.0);
            watchdog.enter("all_to_all", 8);
            ranks.fails = true;
            std::this_thread::sleep_for(std::chrono::seconds(20));
        },
        testing::ExitedWithCode(kWatchdogExit),
        "vila: rank 1: the cable is out .step 4, update, in collective 1 .all_to_all of 8 bytes");
}

TEST(Watchdog, StopsPolling) {
    FailingRanks ranks;
    Watchdog watchdog(0, 1);
    watchdog.monitor(&ranks);
    watchdog.monitor(nullptr);
    ranks.fails = true;
    const int64_t polls = ranks.polls;
    std::this_thread::sleep_for(std::chrono::milliseconds(1200));
    EXPECT_EQ(ranks.polls, polls);
}

TEST(Watchdog, LeavesAJobAloneThatMakesProgress) {
    const TemporaryDirectory folder;
    const auto alone = one_process();
    {
        Watchdog watchdog(0, 1);
        watchdog.share(folder.path());
        alone->set_observer(&watchdog);
        for (int64_t step = 0; step < 4; ++step) {
            watchdog.phase("gradients", step, 1.5);
            alone->barrier();
            std::this_thread::sleep_for(std::chrono::milliseconds(500));
        }
        watchdog.phase("save", 4, 0.0);
        std::this_thread::sleep_for(std::chrono::milliseconds(700));
    }
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace vila::dist
