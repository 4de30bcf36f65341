// Makes the i-th system call or allocation of a save or a load fail, for every i. The save must
// throw or succeed, the load must throw or return a complete state, older checkpoints must stay
// intact, and the next start must leave no leftovers. VILA_TEST_FAULTS is the stride of i for
// allocations (1: all of them).

#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <functional>

#include "dist/thread_ranks.h"
#include "tensor/cpu/cpu_device.h"
#include "tensor/env.h"
#include "tests/faults/checkpoint_cases.h"
#include "tests/faults/system_calls.h"
#include "tests/support/temporary_directory.h"

namespace vila::tools {
namespace {

namespace fs = std::filesystem;

int64_t stride() {
    return environment_int("VILA_TEST_FAULTS");
}

// A folder with the checkpoints of steps 1 and 2, in which the save of step 3 will fail.
class Disk {
  public:
    Disk() {
        save_step(folder(), 1, {});
        save_step(folder(), 2, {});
        fs::copy(folder(), kept(), fs::copy_options::recursive);
    }
    fs::path folder() const { return directory_.path() / "checkpoints"; }
    fs::path kept() const { return directory_.path() / "kept"; }
    // Restores the state before the save.
    void reset() {
        fs::remove_all(folder());
        fs::copy(kept(), folder(), fs::copy_options::recursive);
    }

  private:
    TemporaryDirectory directory_;
};

// Expects that the next start finds step 2 or 3, complete, and no leftovers, and can save step 4.
void expect_good_start(const fs::path& folder, bool must_be_new, const std::string& what) {
    const int64_t step = start_step(folder);
    EXPECT_TRUE(step == 3 || (step == 2 && !must_be_new)) << what << ": found step " << step;
    for (const auto& entry : fs::directory_iterator(folder)) {
        const std::string name = entry.path().filename().string();
        EXPECT_TRUE(name == "latest" || (name.starts_with("step-") && name.size() == 13))
            << what << ": left " << name;
    }
    save_step(folder, 4, {});
    EXPECT_EQ(start_step(folder), 4) << what;
}

// The outcome of an attempt in which the i-th call fails. NotReached: it made fewer than i calls.
enum class End { Succeeded, Threw, Died, NotReached };

// Run `body` with the failing call: attempt() in this process, attempt_apart() in a new one.
End attempt(CallKind kind, const fs::path& folder, int64_t at, int error,
            const std::function<void()>& body) {
    const FailingCall failing(kind, folder, at, error);
    End end = End::Succeeded;
    try {
        body();
    } catch (const std::exception&) {
        end = End::Threw;
    }
    return failing.calls() < at ? End::NotReached : end;
}
End attempt_apart(CallKind kind, const fs::path& folder, int64_t at,
                  const std::function<void()>& body) {
    const pid_t child = ::fork();
    if (child == 0) {
        std::freopen("/dev/null", "w", stderr);
        ::_exit(static_cast<int>(attempt(kind, folder, at, 0, body)));
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? static_cast<End>(WEXITSTATUS(status)) : End::Died;
}

constexpr SaveWay kWays[] = {{1, false}, {1, true}, {3, false}, {3, true}};

TEST(CheckpointFaults, AnyWriteOfASaveMayFail) {
    const int errors[] = {ENOSPC, EIO, EDQUOT, EROFS};
    for (const SaveWay& way : kWays) {
        Disk disk;
        const fs::path folder = disk.folder();
        End end = End::Succeeded;
        for (int64_t i = 1; end != End::NotReached; ++i) {
            disk.reset();
            end = attempt(CallKind::Write, folder, i, errors[i % 4],
                          [&] { save_step(folder, 3, way); });
            const bool saved = end == End::Succeeded || end == End::NotReached;
            expect_good_start(folder, saved,
                              str("call ", i, ", ", way.ranks, " ranks, async ", way.async));
            EXPECT_TRUE(end != End::NotReached || i > 20) << "calls are not seen";
        }
    }
}

// The JSON library needs memory to destroy a value; without it the process ends, which must be as
// harmless as a kill.
TEST(CheckpointFaults, AnyAllocationOfASaveMayFail) {
    for (const SaveWay& way : {kWays[0], kWays[1]}) {
        Disk disk;
        const fs::path folder = disk.folder();
        End end = End::Succeeded;
        int64_t tries = 0, deaths = 0;
        for (int64_t i = 1; end != End::NotReached; i += stride(), ++tries) {
            disk.reset();
            end = attempt_apart(CallKind::Allocate, folder, i, [&] { save_step(folder, 3, way); });
            deaths += end == End::Died ? 1 : 0;
            const bool saved = end == End::Succeeded || end == End::NotReached;
            expect_good_start(folder, saved, str("allocation ", i, ", async ", way.async));
            EXPECT_TRUE(end != End::NotReached || i > 500) << "allocations are not seen";
        }
        EXPECT_LT(deaths, tries / 3);
    }
}

// A load in which a system call or an allocation fails throws or returns a complete state. It
// renames no checkpoint to .damaged, because the checkpoint may be good.
void fail_loads(CallKind kind, int64_t every, int64_t least) {
    Disk disk;
    const fs::path folder = disk.folder();
    End end = End::Succeeded;
    for (int64_t i = 1; end != End::NotReached; i += every) {
        const auto load = [&] {
            const int64_t step = start_step(folder);
            if (step != 1 && step != 2) std::abort();
        };
        end = kind == CallKind::Allocate
                  ? attempt_apart(kind, folder, i, load)
                  : attempt(kind, folder, i, i % 2 == 0 ? EIO : EMFILE, load);
        EXPECT_EQ(start_step(folder), 2) << "after call " << i;
        EXPECT_TRUE(end != End::NotReached || i > least) << "calls are not seen";
    }
}

TEST(CheckpointFaults, AnyReadOfALoadMayFail) {
    fail_loads(CallKind::Read, 1, 6);
}

TEST(CheckpointFaults, AnyAllocationOfALoadMayFail) {
    fail_loads(CallKind::Allocate, stride(), 300);
}

}  // namespace
}  // namespace vila::tools
