#pragma once

// Numbers that come with the data (token ids, row indices, sequence starts) are checked by the
// kernels that follow them. A kernel cannot throw: it leaves a note here, goes on without following
// the number, and the device throws when the host next waits for it.

//
// Here is the note; row_exists.h leaves it.

#include <cstdint>

namespace vila::cuda {

// Who may find a number out of range; fault.cpp has their names.
enum class FaultKind {
    Embedding,
    GatherRows,
    ScatterAddRows,
    ScatterRows,
    Rope,
    CrossEntropy,
    MeanRowsEnds,
    MeanRowsOrder,
    AttentionEnds,
    AttentionOrder,
    AttentionQueries,
    AttentionKeys,
    Count,
};

// The first fault of a kind, by position, so that the same one is named every time.
struct Fault {
    unsigned long long first;  // position << 32 | value; kNoFault when there is none
    int64_t other;             // the largest number allowed, or the other of two numbers
};
constexpr unsigned long long kNoFault = ~0ULL;

struct Faults {
    Fault kinds[static_cast<int>(FaultKind::Count)];
};

// Throws the first fault found in `faults` (host memory), if any.
void throw_fault(const Faults& faults);

}  // namespace vila::cuda
