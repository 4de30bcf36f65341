#pragma once

// Watchdog: ends a job that makes no progress, and names the rank that causes it. MPI itself waits
// forever for a rank that is stopped, stuck in a file system, or in another collective. A job of
// one rank has a watchdog too, for reads and writes that never end.
//
// Every rank has a watchdog with threads of its own. Twice a second, it increases a count and
// writes it, with the status of its rank (step, phase, collective), to a file. When a phase exceeds
// its limit, the first rank to notice claims the report: it reads the files of all ranks twice,
// some seconds apart, prints one line, and ends the process with kWatchdogExit; the launcher then
// ends the other ranks. A rank whose count stays the same is stopped or dead. A rank outside of
// collectives holds up the others. A rank in a different collective from most ranks has diverged
// from them. Clocks of different machines are never compared, and time for which a process was
// stopped does not count.
//
// The watchdog observes the collectives of its rank (CollectiveObserver). GPU transfers can also
// fail while the host does not wait for them, so the thread polls for such errors too, as often as
// it writes.

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "dist/collectives.h"

namespace vila::dist {

constexpr int kWatchdogExit = 75;

// The status of a rank, in the format of its file.
struct RankStatus {
    int64_t count = 0;  // times that the rank has written its status
    int64_t step = 0;
    int64_t collectives = 0;    // begun so far
    int64_t bytes = 0;          // of the current collective
    int64_t in_collective = 0;  // 1 while in a collective
    std::array<char, 32> phase = {};
    std::array<char, 32> collective = {};  // the current or last one
};
// Returns a message that names the ranks that hold up a job, with their status. `before` and `now`
// are the statuses of all ranks at two times between which a running rank writes its status.
std::string describe_hang(const std::vector<RankStatus>& before,
                          const std::vector<RankStatus>& now);

class Watchdog final : public CollectiveObserver {
  public:
    // Until share() is called, knows only the status of its own rank. `advice` ends the message
    // about a phase that takes too long.
    Watchdog(int64_t rank, int64_t ranks, std::string advice = {});
    // Exchanges statuses with the other ranks by files in `folder`, which must exist, hold no files
    // of an earlier job, and be accessible to all ranks.
    void share(std::filesystem::path folder);
    ~Watchdog() override;
    Watchdog(const Watchdog&) = delete;
    Watchdog& operator=(const Watchdog&) = delete;

    // Polls `ranks` for transfer errors from now on. nullptr, the initial value: no polling.
    void monitor(Collectives* ranks);
    // Starts a phase of the run, which may take `limit` seconds; 0 means no limit.
    void phase(const char* name, int64_t step, double limit);
    // The same, but later calls of phase() do nothing; another last_phase() still starts a phase.
    void last_phase(const char* name, int64_t step, double limit);
    void enter(const char* collective, int64_t bytes) override;
    void leave() override;

  private:
    using Clock = std::chrono::steady_clock;
    void watch();
    // Adds the time since the last call to the time of the phase.
    void count_time();
    // Writes the status twice a second, on a thread of its own, because the disk may hang.
    void keep_writing();
    void write_status();
    std::vector<RankStatus> read_statuses() const;
    // Returns whether this rank reports the hang: it is the first to create the file of the report,
    // or the file cannot be created.
    bool claim_report() const;
    // Observes the ranks and names those that hold up the job. Returns nothing if another rank
    // reports the hang.
    std::optional<std::string> describe_others() const;
    // Reports a hang and ends the process. Returns if the phase ends while this rank observes the
    // others or waits for the report of another.
    void report(std::unique_lock<std::mutex>& lock);
    // Ends the process because the phase takes too long, or for another reason.
    [[noreturn]] void end_phase(const std::string& why) const;
    [[noreturn]] void end_process(const std::string& why) const;
    std::filesystem::path file_of(int64_t rank) const;

    std::filesystem::path folder_;  // empty until share()
    int64_t rank_, ranks_;
    std::string advice_;
    std::mutex mutex_;  // guards the members below
    std::condition_variable changed_;
    RankStatus status_;
    Collectives* monitored_ = nullptr;
    Clock::time_point counted_until_;
    double phase_seconds_ = 0.0;
    double limit_ = 0.0;  // of the phase, in seconds
    int64_t phases_ = 0;  // begun so far
    bool in_last_phase_ = false;
    bool stopping_ = false;
    std::thread thread_, writer_;
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

}  // namespace vila::dist
