#pragma once

// Faults: numbers in the data that are out of range. Kernels check the numbers that they use as
// indices (token ids, row indices, cu_seqlens). A kernel cannot throw, so it records a fault in
// device memory and continues without using the number; the device throws Error when the host next
// waits for it. row_exists.h has the device functions that record faults.

#include <cstdint>

namespace vila::cuda {

// The checks that can fail; fault.cpp has their error messages.
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

// The fault of a kind at the lowest position, so that every run reports the same one.
struct Fault {
    unsigned long long first;  // position << 32 | value; kNoFault when there is none
    int64_t other;             // the largest valid number, or the second number of the message
};
constexpr unsigned long long kNoFault = ~0ULL;

struct Faults {
    Fault kinds[static_cast<int>(FaultKind::Count)];
};

// Throws Error for the first kind of fault in `faults` (host memory); returns if there is none.
void throw_fault(const Faults& faults);

}  // namespace vila::cuda
