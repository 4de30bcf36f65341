#pragma once

// What the launcher of a job says in the environment, before MPI is opened.

#include <cstdint>

namespace vila::dist {

struct Launched {
    int64_t ranks = 1;  // of the job; 1 where nothing is said
    int64_t rank = 0;
    int64_t local_ranks = 1;  // on this machine
    int64_t local_rank = 0;   // among them: which device to take
};

// Reads Open MPI's, PMI's and Slurm's variables. Throws when one is not a number.
Launched read_launcher();

}  // namespace vila::dist
