#include "dist/launcher.h"

#include <algorithm>

#include "tensor/env.h"

namespace vila::dist {

LauncherInfo read_launcher() {
    LauncherInfo launched;
    // SLURM_STEP_NUM_TASKS counts the tasks of one srun. SLURM_NTASKS counts those of the whole
    // allocation, which is wrong for a command that a batch script runs without srun.
    for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"})
        launched.ranks = std::max(launched.ranks, environment_int(name));
    for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID"})
        launched.rank = std::max(launched.rank, environment_int(name));
    for (const char* name : {"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS"})
        launched.local_ranks = std::max(launched.local_ranks, environment_int(name));
    for (const char* name : {"OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"})
        launched.local_rank = std::max(launched.local_rank, environment_int(name));
    return launched;
}

}  // namespace vila::dist
