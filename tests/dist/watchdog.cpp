// Who is to blame for a job that hangs, and that a watchdog ends its process.

#include "dist/watchdog.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>

#include "tests/dist/job.h"
#include "tests/support/temporary_directory.h"

namespace vila::dist {
namespace {

constexpr int64_t kNow = 1'000'000'000'000;

RankPlace place(int64_t collectives, bool inside, const char* collective = "all_gather") {
    RankPlace place;
    place.beat = kNow - 400'000'000;
    place.step = 17;
    place.collectives = collectives;
    place.bytes = 64;
    place.inside = inside ? 1 : 0;
    std::strcpy(place.phase.data(), "gradients");
    std::strcpy(place.collective.data(), collective);
    return place;
}

// A job of one whose transfers break.
class BrokenRanks final : public Collectives {
  public:
    std::atomic<bool> breaks = false;
    std::atomic<int64_t> asked = 0;

    int64_t rank() const override { return 0; }
    int64_t ranks() const override { return 1; }
    std::string name() const override { return "broken"; }
    std::string broken() override {
        ++asked;
        return breaks ? "the cable is out" : "";
    }

  private:
    void do_barrier() override {}
    void do_broadcast(void*, int64_t, int64_t) override {}
    void do_all_gather(const void*, void*, int64_t) override {}
    void do_all_to_all(const void*, void*, int64_t) override {}
};

TEST(Watchdog, NamesTheRankThatDoesNotRun) {
    std::vector<RankPlace> places = {place(9, true), place(8, false), place(9, true)};
    places[1].beat = kNow - 20'000'000'000;
    const std::string said = describe_hang(places, kNow);
    EXPECT_EQ(said,
              "rank 1 does not run (step 17, gradients, after collective 8 (all_gather of 64 "
              "bytes))");
    // One that has never written is silent too.
    EXPECT_NE(describe_hang({place(9, true), RankPlace{}}, kNow).find("rank 1 does not run"),
              std::string::npos);
}

TEST(Watchdog, NamesTheRankThatIsBehind) {
    EXPECT_EQ(describe_hang({place(9, true), place(9, true), place(8, false)}, kNow),
              "rank 2 holds up the others (step 17, gradients, after collective 8 (all_gather of "
              "64 bytes))");
    EXPECT_EQ(describe_hang({place(7, true), place(9, true)}, kNow),
              "rank 0 holds up the others (step 17, gradients, in collective 7 (all_gather of 64 "
              "bytes))");
}

TEST(Watchdog, NamesTheRankThatLeftTheWayOfTheOthers) {
    EXPECT_EQ(
        describe_hang({place(9, true), place(9, true), place(9, true, "barrier")}, kNow),
        "rank 2 is in another collective than the others (step 17, gradients, in collective 9 "
        "(barrier of 64 bytes)); the others: step 17, gradients, in collective 9 (all_gather "
        "of 64 bytes)");
    // One that skipped a collective is ahead of those that wait for it.
    EXPECT_EQ(
        describe_hang({place(9, true), place(10, true), place(9, true)}, kNow).find("rank 1 is"),
        size_t{0});
    const std::string two = describe_hang({place(9, true), place(9, true, "barrier")}, kNow);
    EXPECT_EQ(two.find("the ranks are in different collectives: rank 0 "), size_t{0}) << two;
    EXPECT_NE(describe_hang({place(9, true), place(9, true)}, kNow).find("wait for the network"),
              std::string::npos);
}

TEST(Watchdog, KnowsThatHostsDoNotWaitForTheirGpusTransfers) {
    EXPECT_EQ(describe_hang({place(9, false), place(8, false), place(9, false)}, kNow),
              "rank 1 holds up the others (step 17, gradients, after collective 8 (all_gather of "
              "64 bytes))");
    EXPECT_EQ(
        describe_hang({place(9, false), place(9, false)}, kNow),
        "no rank waits for another, unless their GPUs do: rank 0 (step 17, gradients, after "
        "collective 9 (all_gather of 64 bytes)); rank 1 (step 17, gradients, after collective "
        "9 (all_gather of 64 bytes))");
}

TEST(WatchdogDeathTest, APhaseThatTakesTooLongEndsTheProcess) {
    if (process_job().ranks() > 1) GTEST_SKIP() << "forks, which MPI does not like";
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
        "rank 1: no progress in phase 'start' .* another rank has not come; this one: .* in "
        "collective 1 .all_gather of 8 bytes");
}

TEST(WatchdogDeathTest, ABrokenTransferEndsTheProcess) {
    if (process_job().ranks() > 1) GTEST_SKIP() << "forks, which MPI does not like";
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(
        {
            BrokenRanks ranks;
            Watchdog watchdog(1, 2);
            watchdog.attend(&ranks);
            watchdog.phase("update", 4, 0.0);
            watchdog.enter("all_to_all", 8);
            ranks.breaks = true;
            std::this_thread::sleep_for(std::chrono::seconds(20));
        },
        testing::ExitedWithCode(kWatchdogExit),
        "vila: rank 1: the cable is out .step 4, update, in collective 1 .all_to_all of 8 bytes");
}

TEST(Watchdog, AsksNobodyThatItNoLongerAttends) {
    BrokenRanks ranks;
    Watchdog watchdog(0, 1);
    watchdog.attend(&ranks);
    watchdog.attend(nullptr);
    ranks.breaks = true;
    const int64_t asked = ranks.asked;
    std::this_thread::sleep_for(std::chrono::milliseconds(1200));
    EXPECT_EQ(ranks.asked, asked);
}

TEST(Watchdog, PhasesThatMoveOnAreLeftAlone) {
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
