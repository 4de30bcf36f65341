#include "tools/train/rank_device.h"

#include <unistd.h>

#include <algorithm>
#include <thread>

#include "cuda/cuda_device.h"
#include "dist/agree.h"
#include "dist/launcher.h"
#include "dist/nccl_ranks.h"
#include "tensor/env.h"

namespace vila::tools {

CommonOptions as_local_rank(CommonOptions common) {
    const dist::LauncherInfo launched = dist::read_launcher();
    if (common.device == "cuda" && launched.local_ranks > 1)
        common.device = str("cuda:", launched.local_rank);
    const auto online = static_cast<int64_t>(::sysconf(_SC_NPROCESSORS_ONLN));
    const auto usable = static_cast<int64_t>(std::thread::hardware_concurrency());
    if (common.threads == 0 && launched.local_ranks > 1 && usable == online)
        common.threads = static_cast<int>(std::max<int64_t>(1, usable / launched.local_ranks));
    return common;
}

std::unique_ptr<Device> make_rank_device(const CommonOptions& common) {
    const dist::LauncherInfo launched = dist::read_launcher();
    if (launched.local_ranks == 1 || launched.local_rank == 0 || common.device == "cpu")
        return common.make_device();
    try {
        return common.make_device();
    } catch (const UsageError&) {
        throw;
    } catch (const Error& error) {
        throw Error(
            str(error.what(), "; each of the ", launched.local_ranks,
                " ranks on this machine needs its own GPU (if the launcher shows each rank only "
                "its own GPU, give --device cuda:0)"));
    }
}

std::unique_ptr<dist::Collectives> connect_devices(dist::Collectives& bootstrap,
                                                   const CommonOptions& common,
                                                   const Device& device) {
    const bool on_gpu = device.kind() == DeviceKind::Cuda;
    dist::check_same(bootstrap, "--device", on_gpu ? "cuda" : "cpu");
    if (!on_gpu || bootstrap.ranks() == 1) return nullptr;
    // Transfers run on a stream of their own.
    std::unique_ptr<Device> transfers;
    dist::agree(bootstrap, [&] { transfers = common.make_device(); });
    CUstream_st* const stream = cuda_stream(*transfers);
    return dist::nccl_ranks(bootstrap, std::move(transfers), stream, environment("VILA_NCCL"));
}

}  // namespace vila::tools
