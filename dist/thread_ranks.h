#pragma once

// Ranks that are threads of one process: for tests with any number of ranks, also under a
// sanitizer. If ranks make different calls, or one of them ends, all ranks throw instead of
// waiting forever.

#include <functional>

#include "dist/collectives.h"

namespace vila::dist {

// Runs body(collectives) on `ranks` threads and returns when all of them have ended. When one
// throws or returns early, the collective in which the others wait for it throws. Rethrows the
// first error of any rank.
void run_thread_ranks(int64_t ranks, const std::function<void(Collectives&)>& body);

}  // namespace vila::dist
