#include "dist/watchdog.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
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

std::string describe_hang(const std::vector<RankPlace>& places, int64_t now) {
    std::string silent, behind;
    int64_t furthest = 0;
    for (const RankPlace& place : places) furthest = std::max(furthest, place.collectives);
    for (size_t rank = 0; rank < places.size(); ++rank) {
        const RankPlace& place = places[rank];
        if (now - place.beat > kSilence)
            silent += str(silent.empty() ? "" : "; ", "rank ", rank, " does not run (",
                          describe(place), ")");
        else if (place.inside == 0 || place.collectives < furthest)
            behind += str(behind.empty() ? "" : "; ", "rank ", rank, " holds up the others (",
                          describe(place), ")");
    }
    if (!silent.empty()) return silent;
    if (!behind.empty()) return behind;
    // All are in the collective of the same number: perhaps not in the same one.
    for (size_t rank = 1; rank < places.size(); ++rank)
        if (places[rank].collective != places[0].collective ||
            places[rank].bytes != places[0].bytes)
            return str("rank 0 and rank ", rank, " are in different collectives (",
                       describe(places[0]), "; ", describe(places[rank]), ")");
    return str("all ranks wait for the network (", describe(places.front()), ")");
}

Watchdog::Watchdog(fs::path folder, int64_t rank, int64_t ranks)
    : folder_(std::move(folder)), rank_(rank), ranks_(ranks), since_(Clock::now()) {
    fs::create_directories(folder_);
    const std::string file = file_of(rank_).string();
    descriptor_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    VILA_CHECK(descriptor_ >= 0, file, ": cannot open: ", std::strerror(errno));
    set_text(place_.phase, "start");
    write_place();
    thread_ = std::thread([this] { watch(); });
}

Watchdog::~Watchdog() {
    {
        const std::lock_guard lock(mutex_);
        ends_ = true;
    }
    changed_.notify_all();
    thread_.join();
    ::close(descriptor_);
    std::error_code ignored;
    fs::remove(file_of(rank_), ignored);
}

fs::path Watchdog::file_of(int64_t rank) const {
    return folder_ / str("rank-", rank);
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
        if (limit_ > 0.0 && taken.count() > limit_ + patience) give_up();
        changed_.wait_for(lock, kBeat, [this] { return ends_; });
    }
}

// A disk that takes nothing must not stop the watchdog: then the others read what is old.
void Watchdog::write_place() {
    place_.beat = now_nanoseconds();
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

void Watchdog::give_up() {
    std::fprintf(stderr, "vila: rank %d: no progress in phase '%s' of step %d for %.0f s: %s\n",
                 static_cast<int>(rank_), place_.phase.data(), static_cast<int>(place_.step),
                 limit_, describe_hang(read_places(), now_nanoseconds()).c_str());
    std::fflush(stderr);
    ::_exit(kWatchdogExit);
}

void die_with_parent() {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
}

}  // namespace vila::dist
