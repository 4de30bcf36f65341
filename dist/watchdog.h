#pragma once

// Watchdog: ends a job in which nothing moves any more, and says which rank is to blame. MPI itself
// waits for ever for a rank that is stopped, stuck in a file system, or in another collective.
//
// Every rank has one, with a thread of its own that writes down, twice a second, where its rank is:
// step, phase, collective. A phase that takes longer than its limit makes the thread read what all
// ranks wrote last, print one line, and end the process with kWatchdogExit; the launcher then ends
// the others. A rank that no longer writes is stopped or dead; one that is not in a collective
// holds up the rest; one that is in another collective than most has left their way. Of collectives
// it learns as their observer. Transfers of GPUs can also break under a host that waits for nothing
// else: it asks for that as often as it writes.

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "dist/collectives.h"

namespace vila::dist {

constexpr int kWatchdogExit = 75;

// Where a rank is, as it stands in its file.
struct RankPlace {
    int64_t beat = 0;  // nanoseconds since the epoch when this was written
    int64_t step = 0;
    int64_t collectives = 0;  // begun so far
    int64_t bytes = 0;        // of the current collective
    int64_t inside = 0;       // 1 while in a collective
    std::array<char, 32> phase = {};
    std::array<char, 32> collective = {};  // the current or last one
};
// Who holds up a job whose ranks are at these places, and where each is; for messages. `now` as
// RankPlace::beat.
std::string describe_hang(const std::vector<RankPlace>& places, int64_t now);

class Watchdog final : public CollectiveObserver {
  public:
    // Until share() it knows its own rank only.
    Watchdog(int64_t rank, int64_t ranks);
    // `folder` is one that all ranks see; it gets a small file for each of them.
    void share(std::filesystem::path folder);
    ~Watchdog() override;
    Watchdog(const Watchdog&) = delete;
    Watchdog& operator=(const Watchdog&) = delete;

    // Asks `ranks`, from now on, whether they are broken; nullptr: nobody, as at first.
    void attend(Collectives* ranks);
    // A phase of the run begins; it may take `limit` seconds.
    void phase(const char* name, int64_t step, double limit);
    void enter(const char* collective, int64_t bytes) override;
    void leave() override;

  private:
    using Clock = std::chrono::steady_clock;
    void watch();
    void write_place();
    std::vector<RankPlace> read_places() const;
    std::string slow() const;
    [[noreturn]] void give_up(const std::string& why) const;
    std::filesystem::path file_of(int64_t rank) const;

    std::filesystem::path folder_;
    int64_t rank_, ranks_;
    int descriptor_ = -1;
    std::mutex mutex_;  // of what follows
    std::condition_variable changed_;
    RankPlace place_;
    Collectives* attended_ = nullptr;
    Clock::time_point since_;
    double limit_ = 0.0;
    bool ends_ = false;
    std::thread thread_;
};

// For as long as it lives, `watchdog`, if there is one, observes `ranks` and attends to them.
class WatchedRanks {
  public:
    WatchedRanks(Collectives& ranks, Watchdog* watchdog);
    ~WatchedRanks();
    WatchedRanks(const WatchedRanks&) = delete;
    WatchedRanks& operator=(const WatchedRanks&) = delete;

  private:
    Collectives& ranks_;
    Watchdog* watchdog_;
};

// Has the system kill this process when the one that started it dies: ranks do not outlive mpirun.
void die_with_parent();

}  // namespace vila::dist
