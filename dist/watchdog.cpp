#include "dist/watchdog.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "tensor/check.h"
#include "tensor/file.h"

namespace vila::dist {

namespace fs = std::filesystem;

namespace {

constexpr auto kPeriod = std::chrono::milliseconds(500);
// A rank whose status is older than this is stopped or dead.
constexpr int64_t kMaxAge = 3'000'000'000;  // nanoseconds

int64_t now_nanoseconds() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

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

std::string describe_hang(const std::vector<RankStatus>& ranks, int64_t now) {
    const auto is_silent = [&](const RankStatus& rank) { return now - rank.written_at > kMaxAge; };
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

Watchdog::Watchdog(int64_t rank, int64_t ranks)
    : rank_(rank), ranks_(ranks), phase_start_(Clock::now()) {
    set_text(status_.phase, "start");
    thread_ = std::thread([this] { watch(); });
}

void Watchdog::share(fs::path folder) {
    fs::create_directories(folder);
    const std::lock_guard lock(mutex_);
    folder_ = std::move(folder);
    const std::string file = file_of(rank_).string();
    descriptor_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    VILA_CHECK(descriptor_ >= 0, file, ": cannot open: ", std::strerror(errno));
    write_status();
}

Watchdog::~Watchdog() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
    if (descriptor_ < 0) return;
    ::close(descriptor_);
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
    set_text(status_.phase, name);
    status_.step = step;
    limit_ = limit;
    phase_start_ = Clock::now();
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
    // Ranks 0 to 3 time out one second apart, so that usually a single rank reports for all.
    const auto delay = static_cast<double>(std::min<int64_t>(rank_, 3));
    std::unique_lock lock(mutex_);
    while (!stopping_) {
        write_status();
        const std::chrono::duration<double> taken = Clock::now() - phase_start_;
        if (limit_ > 0.0 && taken.count() > limit_ + delay) end_process(describe_timeout());
        const std::string broken = monitored_ != nullptr ? monitored_->transfer_error() : "";
        if (!broken.empty()) end_process(str(broken, " (", describe(status_), ")"));
        changed_.wait_for(lock, kPeriod, [this] { return stopping_; });
    }
}

// Ignores errors: a full disk must not stop the watchdog. The other ranks then read an old status.
void Watchdog::write_status() {
    status_.written_at = now_nanoseconds();
    if (descriptor_ < 0) return;
    [[maybe_unused]] const ssize_t written = ::pwrite(descriptor_, &status_, sizeof status_, 0);
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
    statuses[static_cast<size_t>(rank_)] = status_;
    return statuses;
}

std::string Watchdog::describe_timeout() const {
    return str("no progress in phase '", status_.phase.data(), "' of step ", status_.step, " for ",
               std::lround(limit_), " s: ",
               descriptor_ < 0 ? "another rank has not arrived; this rank: " + describe(status_)
                               : describe_hang(read_statuses(), now_nanoseconds()));
}

void Watchdog::end_process(const std::string& why) const {
    std::fprintf(stderr, "vila: rank %d: %s\n", static_cast<int>(rank_), why.c_str());
    std::fflush(stderr);
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

void die_with_parent() {
    const pid_t parent = ::getppid();
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    // No signal comes if it died before the call.
    if (::getppid() != parent) ::kill(::getpid(), SIGKILL);
}

}  // namespace vila::dist
