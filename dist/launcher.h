#pragma once

// The numbers of ranks that a launcher (mpirun, srun) puts into the environment, read before MPI is
// initialized.

#include <cstdint>

namespace vila::dist {

struct LauncherInfo {
    int64_t ranks = 1;        // of the job; 1 without a launcher
    int64_t rank = 0;         // of this process
    int64_t local_ranks = 1;  // on this machine
    int64_t local_rank = 0;   // of this process on this machine: selects the device
};

// Reads the variables of Open MPI, PMI and Slurm. Throws if one of them is not a number.
LauncherInfo read_launcher();

}  // namespace vila::dist
