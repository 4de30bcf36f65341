#pragma once

// Ranks that are processes, started by mpirun or srun on one or more machines.

#include <memory>

#include "dist/collectives.h"

namespace vila::dist {

// True if this build has MPI.
bool mpi_available();

// Joins the processes that the launcher started together. Without a launcher, returns a job of one
// rank and does not initialize MPI. Throws if the launcher started several processes but MPI does
// not connect them, or this build has no MPI. Call it at most once per process, and destroy the
// result before main() ends.
std::unique_ptr<Collectives> join_ranks();

// From now on this rank lives on when its launcher ends, for a save: Open MPI would end it.
void outlive_launcher();

// Ends every process of the job after a failure on this rank, for which the other ranks would wait
// forever. Does nothing in a job of one rank.
void abort_ranks(int exit_code);

}  // namespace vila::dist
