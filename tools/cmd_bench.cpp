// vila bench [WHAT]: hot paths beside the limits of this machine, measured in the same process.

#include <algorithm>
#include <cstdio>

#include "tensor/nearest_name.h"
#include "tools/bench_gemm.h"
#include "tools/commands.h"

namespace vila::tools {

namespace {

struct BenchOptions {
    bool as_json = false;
    int repetitions = 9;
    DType dtype = DType::F32;
};

void run_gemm(CpuDevice& device, const BenchOptions& options) {
    const auto measurements =
        bench_gemm(device, options.dtype, default_gemm_shapes(), options.repetitions);
    if (options.as_json) {
        std::printf("%s\n", gemm_json(device, measurements).dump().c_str());
    } else {
        std::fputs(gemm_table(device, measurements).c_str(), stdout);
    }
}

struct Bench {
    const char* name;
    void (*run)(CpuDevice& device, const BenchOptions& options);
};

constexpr Bench kBenches[] = {
    {"gemm", run_gemm},
};

}  // namespace

int cmd_bench(Args& args) {
    std::string what;
    BenchOptions options;
    CommonOptions common;
    args.optional_positional("WHAT", what, "gemm; everything when absent");
    args.option("--repetitions", options.repetitions, "medians are of that many")
        ->check(CLI::PositiveNumber);
    args.flag("--json", options.as_json, "print JSON, one object a bench");
    common.declare(args);
    args.parse();
    options.dtype = common.dtype_or(DType::F32);

    std::vector<std::string> names;
    for (const Bench& bench : kBenches) names.push_back(bench.name);
    if (!what.empty() && std::find(names.begin(), names.end(), what) == names.end())
        throw UsageError(
            str("unknown bench '", what, "'; did you mean '", nearest_name(what, names), "'?"));
    const auto device = common.make_device();
    VILA_CHECK(device->kind() == DeviceKind::Cpu, "the benches measure the CPU: use --device cpu");
    for (const Bench& bench : kBenches)
        if (what.empty() || what == bench.name)
            bench.run(static_cast<CpuDevice&>(*device), options);
    return 0;
}

}  // namespace vila::tools
