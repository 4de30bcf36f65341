// Ranks that are threads with an emulated GPU each: see tests/dist/job.h.

#include <gtest/gtest.h>

#include <filesystem>

#include "cuda/cuda_device.h"
#include "dist/nccl_ranks.h"
#include "dist/thread_ranks.h"
#include "tests/cuda/emulation/device.h"
#include "tests/dist/job.h"

namespace vila::dist {

namespace {

// More ranks would be slow on emulated GPUs.
constexpr int64_t kMaxRanks = 4;

}  // namespace

std::unique_ptr<Device> job_device() {
    emulation::machine().asynchronous = true;
    return make_cuda_device();
}

bool job_is_on_gpus() {
    return true;
}

Collectives& process_job() {
    static const auto job = one_process();
    return *job;
}

void run_job(int64_t ranks, const std::function<void(Collectives&)>& body) {
    run_thread_ranks(ranks, [&](Collectives& job) {
        auto transfers = job_device();
        auto* stream = static_cast<cuda::CudaDevice&>(*transfers).stream();
        body(*nccl_ranks(job, std::move(transfers), stream, fake_nccl()));
    });
}

void on_every_implementation(const std::function<void(Collectives&)>& body,
                             std::initializer_list<int64_t> ranks) {
    body(process_job());
    for (const int64_t count : ranks)
        if (count <= kMaxRanks) run_job(count, body);
}

std::string fake_nccl() {
    return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "fake_nccl.so")
        .string();
}

}  // namespace vila::dist
