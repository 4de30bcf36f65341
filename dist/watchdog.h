#pragma once

// Watchdog: ends a job that makes no progress, and names the rank that causes it. MPI itself waits
// forever for a rank that is stopped, stuck in a file system, or in another collective.
//
// Every rank has a watchdog with a thread of its own. Twice a second, the thread writes the status
// of its rank (step, phase, collective) to a file. When a phase takes longer than its limit, the
// thread reads the files of all ranks, prints one line, and ends the process with kWatchdogExit;
// the launcher then ends the other ranks. A rank whose file is old is stopped or dead. A rank
// outside of collectives holds up the others. A rank in a different collective from most ranks has
// diverged from them. The watchdog observes the collectives of its rank (CollectiveObserver). GPU
// transfers can also fail while the host does not wait for them, so the thread polls for such
// errors too, as often as it writes.

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

// The status of a rank, in the format of its file.
struct RankStatus {
    int64_t written_at = 0;  // nanoseconds since the epoch
    int64_t step = 0;
    int64_t collectives = 0;    // begun so far
    int64_t bytes = 0;          // of the current collective
    int64_t in_collective = 0;  // 1 while in a collective
    std::array<char, 32> phase = {};
    std::array<char, 32> collective = {};  // the current or last one
};
// Returns a message that names the ranks that hold up a job, with their status. `now`: nanoseconds
// since the epoch.
std::string describe_hang(const std::vector<RankStatus>& ranks, int64_t now);

class Watchdog final : public CollectiveObserver {
  public:
    // Until share() is called, knows only the status of its own rank.
    Watchdog(int64_t rank, int64_t ranks);
    // Exchanges statuses with the other ranks by files in `folder`, which all ranks can access.
    void share(std::filesystem::path folder);
    ~Watchdog() override;
    Watchdog(const Watchdog&) = delete;
    Watchdog& operator=(const Watchdog&) = delete;

    // Polls `ranks` for transfer errors from now on. nullptr, the initial value: no polling.
    void monitor(Collectives* ranks);
    // Starts a phase of the run, which may take `limit` seconds; 0 means no limit.
    void phase(const char* name, int64_t step, double limit);
    void enter(const char* collective, int64_t bytes) override;
    void leave() override;

  private:
    using Clock = std::chrono::steady_clock;
    void watch();
    void write_status();
    std::vector<RankStatus> read_statuses() const;
    std::string describe_timeout() const;
    [[noreturn]] void end_process(const std::string& why) const;
    std::filesystem::path file_of(int64_t rank) const;

    std::filesystem::path folder_;
    int64_t rank_, ranks_;
    int descriptor_ = -1;
    std::mutex mutex_;  // guards the members below
    std::condition_variable changed_;
    RankStatus status_;
    Collectives* monitored_ = nullptr;
    Clock::time_point phase_start_;
    double limit_ = 0.0;
    bool stopping_ = false;
    std::thread thread_;
};

// While this object exists, `watchdog` (unless null) observes and monitors `ranks`.
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

// Asks the system to kill this process when its parent dies, so that ranks do not outlive mpirun.
void die_with_parent();

}  // namespace vila::dist
