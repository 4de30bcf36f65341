// Replaces mpi_ranks.cpp in a build without MPI.

#include "dist/launcher.h"
#include "dist/mpi_ranks.h"
#include "tensor/check.h"

namespace vila::dist {

bool mpi_available() {
    return false;
}

std::unique_ptr<Collectives> join_ranks() {
    const int64_t ranks = read_launcher().ranks;
    VILA_CHECK(ranks == 1, "the launcher started ", ranks,
               " processes, but this build has no MPI: install libopenmpi-dev and build again");
    return one_process();
}

void outlive_launcher() {}

void abort_ranks(int) {}

}  // namespace vila::dist
