// What NCCL's ranks say when something is wrong with the library; that they move bytes as all
// others do is shown by the cases of dist_collectives.cpp, which run on them too.

#include "dist/nccl_ranks.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "dist/thread_ranks.h"
#include "tensor/cpu/cpu_device.h"
#include "tests/dist_job.h"

namespace vila::dist {
namespace {

// A variable of the environment, for as long as it lives.
class Setting {
  public:
    Setting(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
    ~Setting() { ::unsetenv(name_); }
    Setting(const Setting&) = delete;
    Setting& operator=(const Setting&) = delete;

  private:
    const char* name_;
};

std::string error_of(const std::function<void(Collectives&)>& body) {
    try {
        run_thread_ranks(2, body);
    } catch (const std::exception& error) {
        return error.what();
    }
    return "no error";
}

void expect_said(const std::string& said, const std::string& text) {
    EXPECT_NE(said.find(text), std::string::npos) << said;
}

TEST(Nccl, SaysWhatIsMissing) {
    expect_said(error_of([](Collectives& job) {
                    nccl_ranks(job, make_cpu_device(1), nullptr, "libabsent-nccl.so");
                }),
                "NCCL cannot be opened");
    expect_said(error_of([](Collectives& job) {
                    nccl_ranks(job, make_cpu_device(1), nullptr, "libm.so.6");
                }),
                "has no function ncclGetVersion");
    const Setting old("VILA_FAKE_NCCL_VERSION", "2604");
    expect_said(error_of([](Collectives& job) {
                    nccl_ranks(job, make_cpu_device(1), nullptr, fake_nccl());
                }),
                "NCCL 2604: expected 2700 or later");
}

TEST(Nccl, AFailureOfTheNetworkIsAnError) {
    const Setting fails("VILA_FAKE_NCCL_FAIL", "1");
    const auto alone = one_process();
    const auto ranks = nccl_ranks(*alone, make_cpu_device(1), nullptr, fake_nccl());
    int64_t mine = 7, all = 0;
    try {
        ranks->all_gather(&mine, &all, sizeof mine);
        FAIL() << "expected an error";
    } catch (const Error& error) {
        expect_said(error.what(), "[nccl] ncclAllGather: remote process exited");
    }
}

TEST(Nccl, RanksThatDisagreeAreAnError) {
    expect_said(error_of([](Collectives& job) {
                    const auto ranks = nccl_ranks(job, make_cpu_device(1), nullptr, fake_nccl());
                    std::vector<char> in(16), out(32);
                    ranks->all_gather(in.data(), out.data(), 8 + job.rank());
                }),
                "ranks run different collectives");
}

}  // namespace
}  // namespace vila::dist
