// Records the file system changes of a save and replays them into the states that a disk may have
// after a crash at any of them. A start from such a disk must load either the old or the new
// checkpoint, complete, and the new one once its final name is synced. Each way of saving is tried
// with VILA_TEST_STATES disks.

#include <gtest/gtest.h>

#include <functional>
#include <unordered_set>

#include "tensor/check.h"
#include "tensor/env.h"
#include "tests/faults/checkpoint_cases.h"
#include "tests/faults/crash_states.h"
#include "tests/support/temporary_directory.h"

namespace vila::tools {
namespace {

namespace fs = std::filesystem;

// Draws the number of changes before the crash, mostly such that the last one is a write.
size_t draw_moment(const std::vector<FileChange>& changes, std::mt19937_64& random) {
    size_t at = random() % (changes.size() + 1);
    for (int i = 0; i < 12 && (at == 0 || changes[at - 1].kind != FileChange::Kind::Write); ++i)
        at = random() % (changes.size() + 1);
    return at;
}

// Returns the changes that a save of step 3 makes on a disk that has steps 1 and 2.
std::vector<FileChange> recorded_save(const fs::path& folder, const SaveWay& way) {
    const RecordedChanges recorded(folder);
    save_step(folder, 3, way);
    return recorded.changes();
}

uint64_t hash_of(const CrashDisk::Contents& contents) {
    uint64_t hash = 0;
    for (const auto& [path, bytes] : contents)
        hash = hash * 1099511628211u ^ std::hash<std::string>()(path + "\n" + bytes);
    return hash;
}

// Returns whether the final name of the new checkpoint is synced after the first `count` changes.
bool is_announced(const std::vector<FileChange>& changes, size_t count) {
    bool renamed = false;
    for (size_t i = 0; i < count; ++i) {
        if (changes[i].kind == FileChange::Kind::Rename && changes[i].to == "step-00000003")
            renamed = true;
        if (renamed && changes[i].kind == FileChange::Kind::Sync && changes[i].path.empty())
            return true;
    }
    return false;
}

class Crashes : public ::testing::TestWithParam<SaveWay> {};

TEST_P(Crashes, LeaveTheOldStateOrTheNew) {
    const TemporaryDirectory directory;
    const fs::path folder = directory.path() / "checkpoints", disk = directory.path() / "disk";
    save_step(folder, 1, {2, false});
    save_step(folder, 2, {2, false});
    const fs::path before = directory.path() / "before";
    fs::copy(folder, before, fs::copy_options::recursive);
    const std::vector<FileChange> changes = recorded_save(folder, GetParam());
    ASSERT_TRUE(is_announced(changes, changes.size()));

    const auto wanted = static_cast<size_t>(environment_int("VILA_TEST_STATES"));
    std::mt19937_64 random(static_cast<uint64_t>(environment_int("VILA_TEST_SEED")));
    std::unordered_set<uint64_t> seen;
    int64_t old_states = 0, tries = 0;
    while (seen.size() < wanted && ++tries < 50 * static_cast<int64_t>(wanted)) {
        const size_t at = draw_moment(changes, random);
        CrashDisk crashed(before);
        for (size_t i = 0; i < at; ++i) crashed.apply(changes[i]);
        const double keeps[] = {0.0, 0.2, 0.5, 0.8, 1.0};
        const CrashDisk::Contents contents =
            crashed.crash(random, {keeps[random() % 5], keeps[random() % 5]});
        if (!seen.insert(hash_of(contents)).second) continue;
        write_contents(contents, disk);
        const int64_t step = start_step(disk);
        EXPECT_TRUE(step == 3 || (step == 2 && !is_announced(changes, at)))
            << "found step " << step << " after change " << at << " of " << changes.size();
        old_states += step == 2 ? 1 : 0;
        if (seen.size() % 16 != 0) continue;
        save_step(disk, 4, {});
        EXPECT_EQ(start_step(disk), 4);
    }
    EXPECT_EQ(seen.size(), wanted) << "distinct states";
    EXPECT_GT(old_states, static_cast<int64_t>(wanted) / 10);
    EXPECT_LT(old_states, static_cast<int64_t>(wanted));
    RecordProperty("states", static_cast<int>(seen.size()));
}

INSTANTIATE_TEST_SUITE_P(Ways, Crashes,
                         ::testing::Values(SaveWay{1, false}, SaveWay{3, false}, SaveWay{3, true}),
                         [](const auto& info) {
                             return str("ranks", info.param.ranks,
                                        info.param.async ? "async" : "sync");
                         });

constexpr CrashDisk::Keep kNothing = {0.0, 0.0}, kAll = {1.0, 1.0};

// Tests the model of the disk: only synced changes are certain to survive a crash.
TEST(CrashDisk, KeepsWhatWasSyncedAndMayLoseTheRest) {
    using Kind = FileChange::Kind;
    const TemporaryDirectory directory;
    std::mt19937_64 random(1);
    CrashDisk disk(directory.path());
    disk.apply({Kind::Create, "a.tmp"});
    disk.apply({Kind::Write, "a.tmp", "", "hello"});
    disk.apply({Kind::Rename, "a.tmp", "a"});
    EXPECT_EQ(disk.open_changes(), 3);
    EXPECT_TRUE(disk.crash(random, kNothing).empty());
    EXPECT_EQ(disk.crash(random, kAll), (CrashDisk::Contents{{"a", "hello"}}));
    disk.apply({Kind::Sync, ""});
    bool torn = false;
    for (int i = 0; i < 20; ++i) torn |= disk.crash(random, kNothing).at("a") != "hello";
    EXPECT_TRUE(torn) << "the name was synced, the bytes were not";
    disk.apply({Kind::Sync, "a"});
    EXPECT_EQ(disk.crash(random, kNothing), (CrashDisk::Contents{{"a", "hello"}}));
    disk.apply({Kind::Remove, "a"});
    EXPECT_EQ(disk.crash(random, kNothing).size(), 1u);
    EXPECT_EQ(disk.crash(random, kAll).size(), 0u);
}

}  // namespace
}  // namespace vila::tools
