#pragma once

// The ranks that this test program was started with: one, or those of mpirun.

#include <functional>

#include "dist/collectives.h"

namespace vila::dist {

Collectives& process_job();

// Runs a case on this process's job; where that is one rank, also on threads, `ranks` of them.
void on_every_implementation(const std::function<void(Collectives&)>& body,
                             std::initializer_list<int64_t> ranks = {1, 2, 3, 5, 8, 16});

}  // namespace vila::dist
