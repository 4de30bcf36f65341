#pragma once

// Open MPI's mpirun ends a job within two seconds: when it is told to stop, it sends SIGCONT, one
// second later SIGTERM and one second later SIGKILL to the process group of each rank
// (odls_base_sigkill_timeout). That is too short to save a large model. So under mpirun the rank is
// a child of the process that mpirun knows, in a session of its own, and may live on for a save.

namespace vila::dist {

// Under Open MPI's mpirun, returns in a child process. This process then only passes SIGTERM,
// SIGINT and SIGHUP on to the child and ends as the child does. Elsewhere does nothing. Call it
// before threads exist and before MPI is initialized. The child should ask the system to kill it
// when its parent dies, except during a save.
void continue_under_guard();

}  // namespace vila::dist
