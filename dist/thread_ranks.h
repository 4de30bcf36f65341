#pragma once

// Ranks as threads of one process: for tests, which can so have any number of ranks under a
// sanitizer. Ranks that do not agree on what comes next, and ranks that fail, are reported to all
// instead of leaving the others waiting.

#include <functional>

#include "dist/collectives.h"

namespace vila::dist {

// Runs body(collectives) on `ranks` threads and returns when all have ended. When one throws or
// returns early, the others get an error from the collective that waits for it; the first error of
// all is thrown here.
void run_thread_ranks(int64_t ranks, const std::function<void(Collectives&)>& body);

}  // namespace vila::dist
