#include "dist/watchdog.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <future>

#include "tensor/check.h"
#include "tensor/file.h"

namespace vila::dist {

namespace fs = std::filesystem;

namespace {

constexpr auto kPeriod = std::chrono::milliseconds(500);
// A rank that does not write its status within this time is stopped or dead.
constexpr auto kObservation = std::chrono::seconds(3);
// The file whose creator reports a hang for all ranks.
constexpr const char* kReport = "report";
// A longer time between two calls of count_time() counts as this much: the process was stopped.
constexpr double kLongestPeriod = 2.0;  // seconds

void set_text(std::array<char, 32>& field, const char* text) {
    field = {};
    std::strncpy(field.data(), text, field.size() - 1);
}

std::string describe(const RankStatus& status) {
    const std::string where = str("step ", status.step, ", ", status.phase.data());
    const std::string collective = status.collective.data();
    if (collective.empty()) return where;
    return str(where, status.in_collective != 0 ? ", in collective " : ", after collective ",
               status.collectives, " (", collective, " of ", status.bytes, " bytes)");
}

// Returns "rank 1 VERB (status); rank 4 VERB (status)" for the ranks that `selects` accepts.
template <typename Selects>
std::string name_ranks(const std::vector<RankStatus>& ranks, const char* verb,
                       const Selects& selects) {
    std::string text;
    for (size_t rank = 0; rank < ranks.size(); ++rank)
        if (selects(ranks[rank]))
            text += str(text.empty() ? "" : "; ", "rank ", rank, verb, " (", describe(ranks[rank]),
                        ")");
    return text;
}

bool in_same_collective(const RankStatus& a, const RankStatus& b) {
    return a.collectives == b.collectives && a.collective == b.collective && a.bytes == b.bytes;
}

// Returns a rank that is in the same collective as most ranks; nullptr without a majority.
const RankStatus* find_majority(const std::vector<RankStatus>& ranks) {
    for (const RankStatus& rank : ranks) {
        const auto same = std::count_if(ranks.begin(), ranks.end(), [&](const RankStatus& other) {
            return in_same_collective(rank, other);
        });
        if (2 * static_cast<size_t>(same) > ranks.size()) return &rank;
    }
    return nullptr;
}

// Names the ranks that have begun fewer collectives than others; empty if there are none.
std::string name_late_ranks(const std::vector<RankStatus>& ranks) {
    int64_t furthest = 0;
    for (const RankStatus& rank : ranks) furthest = std::max(furthest, rank.collectives);
    return name_ranks(ranks, " holds up the others",
                      [&](const RankStatus& rank) { return rank.collectives < furthest; });
}

// Names the ranks that hold up a job if no host is in a collective. On GPUs, the ranks that are
// ahead wait for their own kernels, which wait for transfers from the ranks that are late.
std::string describe_waiting_for_gpus(const std::vector<RankStatus>& ranks) {
    const std::string late = name_late_ranks(ranks);
    if (!late.empty()) return late;
    return str("no rank waits for another, unless their GPUs do: ",
               name_ranks(ranks, "", [](const RankStatus&) { return true; }));
}

}  // namespace

std::string describe_hang(const std::vector<RankStatus>& before,
                          const std::vector<RankStatus>& now) {
    const std::vector<RankStatus>& ranks = now;
    const auto is_silent = [&](const RankStatus& rank) {
        return rank.count == before[static_cast<size_t>(&rank - ranks.data())].count;
    };
    const auto is_outside = [](const RankStatus& rank) { return rank.in_collective == 0; };
    std::string silent = name_ranks(ranks, " does not run", is_silent);
    if (!silent.empty()) return silent;
    if (std::all_of(ranks.begin(), ranks.end(), is_outside))
        return describe_waiting_for_gpus(ranks);
    std::string outside = name_ranks(ranks, " holds up the others", is_outside);
    if (!outside.empty()) return outside;
    // All ranks are in collectives: name those that differ from the majority, or those that are
    // late.
    if (const RankStatus* majority = find_majority(ranks)) {
        const std::string apart = name_ranks(
            ranks, " is in a different collective from the others",
            [&](const RankStatus& rank) { return !in_same_collective(rank, *majority); });
        if (apart.empty()) return str("all ranks wait for the network (", describe(*majority), ")");
        return str(apart, "; the others: ", describe(*majority));
    }
    const std::string late = name_late_ranks(ranks);
    if (!late.empty()) return late;
    return str("the ranks are in different collectives: ",
               name_ranks(ranks, "", [](const RankStatus&) { return true; }));
}

Watchdog::Watchdog(int64_t rank, int64_t ranks, std::string advice)
    : rank_(rank), ranks_(ranks), advice_(std::move(advice)), counted_until_(Clock::now()) {
    set_text(status_.phase, "start");
    thread_ = std::thread([this] { watch(); });
}

void Watchdog::share(fs::path folder) {
    {
        const std::lock_guard lock(mutex_);
        folder_ = std::move(folder);
    }
    write_status();
    VILA_CHECK(fs::exists(file_of(rank_)), file_of(rank_).string(), ": cannot be written");
    writer_ = std::thread([this] { keep_writing(); });
}

Watchdog::~Watchdog() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
    if (!writer_.joinable()) return;
    writer_.join();
    std::error_code ignored;
    fs::remove(file_of(rank_), ignored);
}

fs::path Watchdog::file_of(int64_t rank) const {
    return folder_ / str("rank-", rank);
}

void Watchdog::monitor(Collectives* ranks) {
    const std::lock_guard lock(mutex_);
    monitored_ = ranks;
}

void Watchdog::phase(const char* name, int64_t step, double limit) {
    const std::lock_guard lock(mutex_);
    if (in_last_phase_) return;
    count_time();
    set_text(status_.phase, name);
    status_.step = step;
    limit_ = limit;
    phase_seconds_ = 0.0;
    ++phases_;
}

void Watchdog::last_phase(const char* name, int64_t step, double limit) {
    {
        const std::lock_guard lock(mutex_);
        in_last_phase_ = false;
    }
    phase(name, step, limit);
    const std::lock_guard lock(mutex_);
    in_last_phase_ = true;
}

void Watchdog::enter(const char* collective, int64_t bytes) {
    const std::lock_guard lock(mutex_);
    set_text(status_.collective, collective);
    status_.bytes = bytes;
    status_.in_collective = 1;
    ++status_.collectives;
}

void Watchdog::leave() {
    const std::lock_guard lock(mutex_);
    status_.in_collective = 0;
}

void Watchdog::watch() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
        count_time();
        if (limit_ > 0.0 && phase_seconds_ > limit_) report(lock);
        const std::string broken = monitored_ != nullptr ? monitored_->transfer_error() : "";
        if (!broken.empty()) end_process(str(broken, " (", describe(status_), ")"));
        changed_.wait_for(lock, kPeriod, [this] { return stopping_; });
    }
}

void Watchdog::count_time() {
    const auto now = Clock::now();
    const std::chrono::duration<double> passed = now - counted_until_;
    phase_seconds_ += std::min(passed.count(), kLongestPeriod);
    counted_until_ = now;
}

void Watchdog::keep_writing() {
    while (true) {
        write_status();
        std::unique_lock lock(mutex_);
        if (changed_.wait_for(lock, kPeriod, [this] { return stopping_; })) return;
    }
}

// Ignores errors: a full disk must not stop the watchdog. The other ranks then see an old count.
// Does not hold the mutex while it writes, so that a disk that hangs stops nothing else.
void Watchdog::write_status() {
    RankStatus status;
    {
        const std::lock_guard lock(mutex_);
        ++status_.count;
        status = status_;
    }
    // Closed each time: a network file system then shows the status to other machines.
    const int file = ::open(file_of(rank_).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0) return;
    [[maybe_unused]] const ssize_t written = ::pwrite(file, &status, sizeof status, 0);
    ::close(file);
}

std::vector<RankStatus> Watchdog::read_statuses() const {
    std::vector<RankStatus> statuses(static_cast<size_t>(ranks_));
    for (int64_t rank = 0; rank < ranks_; ++rank) {
        RankStatus& status = statuses[static_cast<size_t>(rank)];
        const int file = ::open(file_of(rank).c_str(), O_RDONLY | O_CLOEXEC);
        if (file < 0) continue;
        if (::pread(file, &status, sizeof status, 0) != sizeof status) status = {};
        ::close(file);
        status.phase.back() = status.collective.back() = '\0';
    }
    return statuses;
}

bool Watchdog::claim_report() const {
    const int file =
        ::open((folder_ / kReport).c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (file >= 0) ::close(file);
    return file >= 0 || errno != EEXIST;
}

std::optional<std::string> Watchdog::describe_others() const {
    if (!claim_report()) return std::nullopt;
    const std::vector<RankStatus> before = read_statuses();
    std::this_thread::sleep_for(kObservation);
    return describe_hang(before, read_statuses());
}

void Watchdog::report(std::unique_lock<std::mutex>& lock) {
    if (ranks_ == 1) end_phase("a file or a device does not respond");
    if (folder_.empty()) end_phase("another rank has not arrived; this rank: " + describe(status_));
    // On a thread of its own, because the disk may hang.
    std::promise<std::optional<std::string>> promise;
    std::future<std::optional<std::string>> others = promise.get_future();
    std::thread observer(
        [&, promise = std::move(promise)]() mutable { promise.set_value(describe_others()); });
    const int64_t phase = phases_;
    lock.unlock();
    const bool responds = others.wait_for(2 * kObservation) == std::future_status::ready;
    lock.lock();
    if (!responds) end_phase(folder_.string() + ": does not respond");
    observer.join();
    const std::optional<std::string> described = others.get();
    count_time();
    if (stopping_ || phases_ != phase) {  // there is progress after all
        std::error_code ignored;
        if (described) fs::remove(folder_ / kReport, ignored);
        return;
    }
    if (described) end_phase(*described);
    // Another rank reports the hang, and the launcher then ends this one. Otherwise this rank ends
    // itself, unless there is progress: then the other rank withdraws its report. Until then this
    // rank keeps writing its status, so that it does not seem dead.
    const auto ended = Clock::now() + kObservation + kPeriod;
    while (!stopping_ && phases_ == phase && Clock::now() < ended) changed_.wait_for(lock, kPeriod);
    if (stopping_ || phases_ != phase) return;
    ::_exit(kWatchdogExit);
}

void Watchdog::end_phase(const std::string& why) const {
    end_process(str("no progress in phase '", status_.phase.data(), "' of step ", status_.step,
                    " for ", std::lround(limit_), " s: ", why, advice_));
}

void Watchdog::end_process(const std::string& why) const {
    const std::string line = str("vila: ", ranks_ > 1 ? str("rank ", rank_, ": ") : "", why, "\n");
    // Not through stdio, whose lock a thread may hold that waits for the reader of stderr.
    pollfd writable = {.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
    if (::poll(&writable, 1, 0) == 1)
        write_all(STDERR_FILENO, line.data(), static_cast<int64_t>(line.size()));
    ::_exit(kWatchdogExit);
}

WatchedRanks::WatchedRanks(Collectives& ranks, Watchdog* watchdog)
    : ranks_(ranks), watchdog_(watchdog) {
    ranks_.set_observer(watchdog_);
    if (watchdog_ != nullptr) watchdog_->monitor(&ranks_);
}

WatchedRanks::~WatchedRanks() {
    ranks_.set_observer(nullptr);
    if (watchdog_ != nullptr) watchdog_->monitor(nullptr);
}

}  // namespace vila::dist
