// StopSignals: the first signal starts an action, the second ends the program.

#include "tools/train/stop_signals.h"

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>

#include "tensor/file.h"
#include "tests/support/death_test_folder.h"

namespace vila::tools {
namespace {

void wait_for(const StopSignals& stop, int milliseconds) {
    for (int i = 0; i < milliseconds && stop.received() == 0; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

void pause_for_ever() {
    while (true) std::this_thread::sleep_for(std::chrono::seconds(1));
}

// Each test runs in its own process: the threads that this program has already do not block the
// signals.
class StopSignalsDeathTest : public ::testing::Test {
  protected:
    StopSignalsDeathTest() {
        ::testing::FLAGS_gtest_death_test_style = "threadsafe";
        std::ofstream(stop_file).close();
    }

    const DeathTestFolder folder;
    const std::filesystem::path stop_file = folder.path() / "stop";
};

TEST_F(StopSignalsDeathTest, RemembersTheFirst) {
    const auto remembers = [] {
        StopSignals stop;
        stop.on_stop({});
        const int before = stop.received();
        kill(getpid(), SIGTERM);
        wait_for(stop, 5000);
        return before == 0 && stop.received() == SIGTERM;
    };
    EXPECT_EXIT(std::_Exit(remembers() ? 7 : 1), ::testing::ExitedWithCode(7), "");
}

TEST_F(StopSignalsDeathTest, LeavesAtOnceAtTheSecond) {
    EXPECT_EXIT(
        {
            StopSignals stop;
            stop.on_stop([](int) { pause_for_ever(); });
            kill(getpid(), SIGTERM);
            wait_for(stop, 5000);
            kill(getpid(), SIGINT);
            pause_for_ever();
        },
        ::testing::ExitedWithCode(130), "");
}

TEST_F(StopSignalsDeathTest, EndsInSetUpAndRemovesItsFiles) {
    for (const int signal : {SIGTERM, SIGINT, SIGHUP})
        EXPECT_EXIT(
            {
                StopSignals stop;
                AtomicDirectory making(folder.path() / "tokenizer");
                std::ofstream(making.path() / "half") << "a line";
                kill(getpid(), signal);
                pause_for_ever();
            },
            ::testing::ExitedWithCode(128 + signal), "");
    for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
        EXPECT_EQ(entry.path(), stop_file);
}

TEST_F(StopSignalsDeathTest, RunsTheActionWithTheSignal) {
    EXPECT_EXIT(
        {
            StopSignals stop;
            stop.on_stop([&](int signal) { stop.end(50 + signal, "the end"); });
            kill(getpid(), SIGHUP);
            pause_for_ever();
        },
        ::testing::ExitedWithCode(50 + SIGHUP), "the end");
}

TEST_F(StopSignalsDeathTest, StopsForASignalToAnotherRank) {
    EXPECT_EXIT(
        {
            StopSignals stop;
            stop.share(stop_file);
            std::ofstream(stop_file) << static_cast<char>(SIGTERM);
            pause_for_ever();
        },
        ::testing::ExitedWithCode(143), "");
}

TEST_F(StopSignalsDeathTest, TellsTheOtherRanks) {
    EXPECT_EXIT(
        {
            StopSignals stop;
            stop.share(stop_file);
            stop.on_stop([&](int) {
                while (read_file(stop_file).empty())
                    std::this_thread::sleep_for(std::chrono::milliseconds(1));
                std::_Exit(read_file(stop_file)[0]);
            });
            kill(getpid(), SIGHUP);
            pause_for_ever();
        },
        ::testing::ExitedWithCode(SIGHUP), "");
}

TEST_F(StopSignalsDeathTest, LeavesSighupIgnoredUnderNohup) {
    EXPECT_EXIT(
        {
            std::signal(SIGHUP, SIG_IGN);  // as nohup does
            StopSignals stop;
            kill(getpid(), SIGHUP);
            std::this_thread::sleep_for(std::chrono::milliseconds(300));
            std::_Exit(stop.received() == 0 ? 7 : 1);
        },
        ::testing::ExitedWithCode(7), "");
}

TEST(StopSignals, GivesTheMaskBackAndKnowsExitCodes) {
    sigset_t before, after;
    pthread_sigmask(SIG_SETMASK, nullptr, &before);
    { const StopSignals stop; }
    pthread_sigmask(SIG_SETMASK, nullptr, &after);
    EXPECT_EQ(sigismember(&before, SIGTERM), sigismember(&after, SIGTERM));
    EXPECT_EQ(StopSignals::exit_code(SIGTERM), 143);
    EXPECT_EQ(StopSignals::exit_code(SIGINT), 130);
}

}  // namespace
}  // namespace vila::tools
