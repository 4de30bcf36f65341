#include "tensor/env.h"

#include <charconv>
#include <cstdlib>
#include <string_view>

#include "tensor/check.h"

namespace vila {

namespace {

constexpr EnvironmentSwitch kSwitches[] = {
    {"VILA_CUBLASLT", "", "path of the cuBLASLt library; searched for if unset"},
    {"VILA_NCCL", "libnccl.so.2",
     "path of the NCCL library, which connects the GPUs of several ranks"},
    {"VILA_TF32", "0", "1: f32 matrix products on a GPU may round their operands to TF32"},
    {"VILA_TEST_SEED", "1", "seed of the random values that tests draw"},
    {"VILA_TEST_CASES", "24", "number of random cases in tests of many ranks"},
    {"VILA_TEST_DAMAGES", "800",
     "number of damaged copies of each model directory that tests open"},
    {"VILA_TEST_FAULTS", "3", "tests make one in this many allocations of a save or load fail"},
    {"VILA_TEST_STATES", "700",
     "states of the disk after a crash that tests start from, for each way of saving"},
    {"OMPI_COMM_WORLD_SIZE", "1", "set by mpirun of Open MPI: ranks of the job"},
    {"OMPI_COMM_WORLD_RANK", "0", "set by mpirun of Open MPI: rank of the process"},
    {"OMPI_COMM_WORLD_LOCAL_SIZE", "1", "set by mpirun of Open MPI: ranks on this machine"},
    {"OMPI_COMM_WORLD_LOCAL_RANK", "0", "set by mpirun of Open MPI: rank on this machine"},
    {"PMI_SIZE", "1", "set by other launchers: ranks of the job"},
    {"PMI_RANK", "0", "set by other launchers: rank of the process"},
    {"MPI_LOCALNRANKS", "1", "set by other launchers: ranks on this machine"},
    {"MPI_LOCALRANKID", "0", "set by other launchers: rank on this machine"},
    {"SLURM_STEP_NUM_TASKS", "1", "set by srun: ranks of the job step"},
    {"SLURM_PROCID", "0", "set by srun: rank of the process"},
    {"SLURM_LOCALID", "0", "set by srun: rank on this machine"},
};

}  // namespace

std::span<const EnvironmentSwitch> environment_switches() {
    return kSwitches;
}

std::string environment(const char* name) {
    for (const EnvironmentSwitch& row : kSwitches) {
        if (std::string_view(row.name) != name) continue;
        const char* value = std::getenv(name);
        return value != nullptr && *value != '\0' ? value : row.default_value;
    }
    VILA_CHECK(false, "environment variable ", name, " is not in the table of tensor/env.cpp");
    return {};
}

int64_t environment_int(const char* name) {
    const std::string text = environment(name);
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    VILA_CHECK(error == std::errc() && end == text.data() + text.size(), "environment variable ",
               name, "=", text, ": expected an integer");
    return value;
}

}  // namespace vila
