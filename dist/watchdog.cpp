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

constexpr auto kBeat = std::chrono::milliseconds(500);
// A rank that has not written for so long does not run.
constexpr int64_t kSilence = 3'000'000'000;

int64_t now_nanoseconds() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

void set_text(std::array<char, 32>& field, const char* text) {
    field = {};
    std::strncpy(field.data(), text, field.size() - 1);
}

std::string describe(const RankPlace& place) {
    const std::string where = str("step ", place.step, ", ", place.phase.data());
    const std::string collective = place.collective.data();
    if (collective.empty()) return where;
    return str(where, place.inside != 0 ? ", in collective " : ", after collective ",
               place.collectives, " (", collective, " of ", place.bytes, " bytes)");
}

}  // namespace

namespace {

// "rank 1 SAYS (place 1); rank 4 SAYS (place 4)", of the ranks that are meant.
template <typename IsMeant>
std::string name_ranks(const std::vector<RankPlace>& places, const char* says,
                       const IsMeant& is_meant) {
    std::string text;
    for (size_t rank = 0; rank < places.size(); ++rank)
        if (is_meant(places[rank]))
            text += str(text.empty() ? "" : "; ", "rank ", rank, says, " (", describe(places[rank]),
                        ")");
    return text;
}

bool in_the_same(const RankPlace& a, const RankPlace& b) {
    return a.collectives == b.collectives && a.collective == b.collective && a.bytes == b.bytes;
}

// Where most ranks are; nullptr without a majority.
const RankPlace* place_of_most(const std::vector<RankPlace>& places) {
    for (const RankPlace& place : places) {
        const auto same = std::count_if(places.begin(), places.end(), [&](const RankPlace& other) {
            return in_the_same(place, other);
        });
        if (2 * static_cast<size_t>(same) > places.size()) return &place;
    }
    return nullptr;
}

// Those that have begun fewer collectives than others; empty: none.
std::string name_ranks_behind(const std::vector<RankPlace>& places) {
    int64_t furthest = 0;
    for (const RankPlace& place : places) furthest = std::max(furthest, place.collectives);
    return name_ranks(places, " holds up the others",
                      [&](const RankPlace& place) { return place.collectives < furthest; });
}

// No host is in a collective. On GPUs those that are ahead wait for their kernels, which wait for
// the transfers of those that are behind.
std::string describe_waiting_for_gpus(const std::vector<RankPlace>& places) {
    const std::string behind = name_ranks_behind(places);
    if (!behind.empty()) return behind;
    return str("no rank waits for another, unless their GPUs do: ",
               name_ranks(places, "", [](const RankPlace&) { return true; }));
}

}  // namespace

std::string describe_hang(const std::vector<RankPlace>& places, int64_t now) {
    const auto is_silent = [&](const RankPlace& place) { return now - place.beat > kSilence; };
    std::string silent = name_ranks(places, " does not run", is_silent);
    if (!silent.empty()) return silent;
    if (std::none_of(places.begin(), places.end(),
                     [](const RankPlace& place) { return place.inside != 0; }))
        return describe_waiting_for_gpus(places);
    std::string outside = name_ranks(places, " holds up the others",
                                     [](const RankPlace& place) { return place.inside == 0; });
    if (!outside.empty()) return outside;
    // All are in collectives. Those that left the others' way are to blame, or those behind.
    if (const RankPlace* most = place_of_most(places)) {
        const std::string apart =
            name_ranks(places, " is in another collective than the others",
                       [&](const RankPlace& place) { return !in_the_same(place, *most); });
        if (apart.empty()) return str("all ranks wait for the network (", describe(*most), ")");
        return str(apart, "; the others: ", describe(*most));
    }
    const std::string behind = name_ranks_behind(places);
    if (!behind.empty()) return behind;
    return str("the ranks are in different collectives: ",
               name_ranks(places, "", [](const RankPlace&) { return true; }));
}

Watchdog::Watchdog(int64_t rank, int64_t ranks) : rank_(rank), ranks_(ranks), since_(Clock::now()) {
    set_text(place_.phase, "start");
    thread_ = std::thread([this] { watch(); });
}

void Watchdog::share(fs::path folder) {
    fs::create_directories(folder);
    const std::lock_guard lock(mutex_);
    folder_ = std::move(folder);
    const std::string file = file_of(rank_).string();
    descriptor_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    VILA_CHECK(descriptor_ >= 0, file, ": cannot open: ", std::strerror(errno));
    write_place();
}

Watchdog::~Watchdog() {
    {
        const std::lock_guard lock(mutex_);
        ends_ = true;
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

void Watchdog::attend(Collectives* ranks) {
    const std::lock_guard lock(mutex_);
    attended_ = ranks;
}

void Watchdog::phase(const char* name, int64_t step, double limit) {
    const std::lock_guard lock(mutex_);
    set_text(place_.phase, name);
    place_.step = step;
    limit_ = limit;
    since_ = Clock::now();
}

void Watchdog::enter(const char* collective, int64_t bytes) {
    const std::lock_guard lock(mutex_);
    set_text(place_.collective, collective);
    place_.bytes = bytes;
    place_.inside = 1;
    ++place_.collectives;
}

void Watchdog::leave() {
    const std::lock_guard lock(mutex_);
    place_.inside = 0;
}

void Watchdog::watch() {
    // One rank after the other, so that the first of those that run speaks for all.
    const auto patience = static_cast<double>(std::min<int64_t>(rank_, 3));
    std::unique_lock lock(mutex_);
    while (!ends_) {
        write_place();
        const std::chrono::duration<double> taken = Clock::now() - since_;
        if (limit_ > 0.0 && taken.count() > limit_ + patience) give_up(slow());
        const std::string broken = attended_ != nullptr ? attended_->broken() : "";
        if (!broken.empty()) give_up(str(broken, " (", describe(place_), ")"));
        changed_.wait_for(lock, kBeat, [this] { return ends_; });
    }
}

// A disk that takes nothing must not stop the watchdog: then the others read what is old.
void Watchdog::write_place() {
    place_.beat = now_nanoseconds();
    if (descriptor_ < 0) return;
    [[maybe_unused]] const ssize_t written = ::pwrite(descriptor_, &place_, sizeof place_, 0);
}

std::vector<RankPlace> Watchdog::read_places() const {
    std::vector<RankPlace> places(static_cast<size_t>(ranks_));
    for (int64_t rank = 0; rank < ranks_; ++rank) {
        RankPlace& place = places[static_cast<size_t>(rank)];
        const int file = ::open(file_of(rank).c_str(), O_RDONLY | O_CLOEXEC);
        if (file < 0) continue;
        if (::pread(file, &place, sizeof place, 0) != sizeof place) place = {};
        ::close(file);
        place.phase.back() = place.collective.back() = '\0';
    }
    places[static_cast<size_t>(rank_)] = place_;
    return places;
}

std::string Watchdog::slow() const {
    return str("no progress in phase '", place_.phase.data(), "' of step ", place_.step, " for ",
               std::lround(limit_), " s: ",
               descriptor_ < 0 ? "another rank has not come; this one: " + describe(place_)
                               : describe_hang(read_places(), now_nanoseconds()));
}

void Watchdog::give_up(const std::string& why) const {
    std::fprintf(stderr, "vila: rank %d: %s\n", static_cast<int>(rank_), why.c_str());
    std::fflush(stderr);
    ::_exit(kWatchdogExit);
}

WatchedRanks::WatchedRanks(Collectives& ranks, Watchdog* watchdog)
    : ranks_(ranks), watchdog_(watchdog) {
    ranks_.set_observer(watchdog_);
    if (watchdog_ != nullptr) watchdog_->attend(&ranks_);
}

WatchedRanks::~WatchedRanks() {
    ranks_.set_observer(nullptr);
    if (watchdog_ != nullptr) watchdog_->attend(nullptr);
}

void die_with_parent() {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
}

}  // namespace vila::dist
