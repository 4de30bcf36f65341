#pragma once

// Ranks as processes that mpirun or srun started, on one machine or many.

#include <memory>

#include "dist/collectives.h"

namespace vila::dist {

// Whether this build can be one of several processes.
bool mpi_available();

// This process's place among the processes that were started together; a job of one where a plain
// command started it, in which case MPI is not even opened. Throws when the launcher says that
// there are several ranks and MPI does not see them, or this build has no MPI. At most once a
// process; the object must outlive every use and be destroyed before main() ends.
std::unique_ptr<Collectives> join_ranks();

// Ends every process of the job at once, after a failure on this rank: the others would wait for it
// for ever. Does nothing in a job of one.
void abort_ranks(int exit_code);

}  // namespace vila::dist
