// Joins the job before the tests and leaves it after them.

#include <gtest/gtest.h>

#include "dist/mpi_ranks.h"
#include "dist/thread_ranks.h"
#include "tensor/cpu/cpu_device.h"
#include "tests/dist/job.h"

namespace vila::dist {

namespace {
Collectives* g_job = nullptr;
}  // namespace

std::unique_ptr<Device> job_device() {
    return make_cpu_device(1);
}

bool job_is_on_gpus() {
    return false;
}

Collectives& process_job() {
    return *g_job;
}

void run_job(int64_t ranks, const std::function<void(Collectives&)>& body) {
    run_thread_ranks(ranks, body);
}

void on_every_implementation(const std::function<void(Collectives&)>& body,
                             std::initializer_list<int64_t> ranks) {
    body(process_job());
    if (process_job().ranks() > 1) return;
    for (const int64_t count : ranks) run_job(count, body);
}

}  // namespace vila::dist

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    const auto job = vila::dist::join_ranks();
    vila::dist::g_job = job.get();
    return RUN_ALL_TESTS();
}
