#pragma once

// Keeps a rank alive for a save while mpirun ends its job. On a stop signal, Open MPI's mpirun
// sends SIGCONT to the process group of each rank, SIGTERM after one second and SIGKILL after two
// (odls_base_sigkill_timeout). That is too short to save a large model. So the rank runs in a child
// process, in a session of its own, which these signals do not reach.

namespace vila::dist {

// Under Open MPI's mpirun, also with one rank, starts a child process and returns true in it. The
// calling process then only passes SIGTERM, SIGINT and SIGHUP on to the child and ends as the child
// does. Elsewhere returns false. Call it before threads exist and before MPI is initialized. The
// child should ask the system to kill it when its parent dies, except during a save.
bool continue_under_guard();

}  // namespace vila::dist
