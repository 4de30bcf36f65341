#pragma once

// The rank numbers that a launcher (mpirun, srun) puts into the environment. They can be read
// before MPI is initialized.

#include <cstdint>

namespace vila::dist {

struct LauncherInfo {
    int64_t ranks = 1;        // number of ranks of the job; 1 without a launcher
    int64_t rank = 0;         // this process
    int64_t local_ranks = 1;  // number of ranks on this machine
    int64_t local_rank = 0;   // this process among those of this machine: selects the GPU
};

// Reads the environment variables of Open MPI, PMI and Slurm. Throws if one of them is not a
// number.
LauncherInfo read_launcher();

}  // namespace vila::dist
