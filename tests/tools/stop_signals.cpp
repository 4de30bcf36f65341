// StopSignals: the first signal is remembered, the second ends the program.

#include "tools/train/stop_signals.h"

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include <gtest/gtest.h>

namespace vila::tools {
namespace {

void wait_for(const StopSignals& stop, int milliseconds) {
    for (int i = 0; i < milliseconds && stop.received() == 0; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

// Each test runs in its own process: the threads that this program has already do not block the
// signals.
class StopSignalsDeathTest : public ::testing::Test {
  protected:
    StopSignalsDeathTest() { ::testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};

TEST_F(StopSignalsDeathTest, FirstIsRemembered) {
    const auto remembers = [] {
        const StopSignals stop;
        const int before = stop.received();
        kill(getpid(), SIGTERM);
        wait_for(stop, 5000);
        return before == 0 && stop.received() == SIGTERM;
    };
    EXPECT_EXIT(std::_Exit(remembers() ? 7 : 1), ::testing::ExitedWithCode(7), "");
}

TEST_F(StopSignalsDeathTest, SecondLeavesAtOnce) {
    EXPECT_EXIT(
        {
            const StopSignals stop;
            kill(getpid(), SIGTERM);
            wait_for(stop, 5000);
            kill(getpid(), SIGINT);
            std::this_thread::sleep_for(std::chrono::seconds(10));
        },
        ::testing::ExitedWithCode(130), "");
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
