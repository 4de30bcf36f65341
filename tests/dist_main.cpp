// Opens the job before the tests run and closes it after them.

#include <gtest/gtest.h>

#include <filesystem>

#include "dist/mpi_ranks.h"
#include "dist/nccl_ranks.h"
#include "dist/thread_ranks.h"
#include "tensor/cpu/cpu_device.h"
#include "tests/dist_job.h"

namespace vila::dist {

namespace {
Collectives* g_job = nullptr;
}  // namespace

Collectives& process_job() {
    return *g_job;
}

std::string fake_nccl() {
    return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "fake_nccl.so")
        .string();
}

void on_every_implementation(const std::function<void(Collectives&)>& body,
                             std::initializer_list<int64_t> ranks) {
    const auto with_nccl = [&](Collectives& job) {
        body(job);
        const auto nccl = nccl_ranks(job, make_cpu_device(1), nullptr, fake_nccl());
        body(*nccl);
    };
    with_nccl(process_job());
    if (process_job().ranks() > 1) return;
    for (const int64_t count : ranks) run_thread_ranks(count, with_nccl);
}

}  // namespace vila::dist

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    const auto job = vila::dist::join_ranks();
    vila::dist::g_job = job.get();
    return RUN_ALL_TESTS();
}
