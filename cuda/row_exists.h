#pragma once

// How kernels ask whether a number that came with the data may be followed.

#include "cuda/fault.h"
#include "cuda/runtime.h"

namespace vila::cuda {

__device__ inline void report(Faults* faults, FaultKind kind, int64_t position, int32_t value,
                              int64_t other) {
    Fault& fault = faults->kinds[static_cast<int>(kind)];
    const auto note = static_cast<unsigned long long>(position) << 32 |
                      static_cast<unsigned long long>(static_cast<uint32_t>(value));
    if (note < atomicMin(&fault.first, note)) fault.other = other;
}

// Whether `value` is in [lowest, rows); leaves a note if not.
__device__ inline bool row_exists(Faults* faults, FaultKind kind, int64_t position, int32_t value,
                                  int32_t lowest, int64_t rows) {
    if (value >= lowest && value < rows) return true;
    report(faults, kind, position, value, rows - 1);
    return false;
}

}  // namespace vila::cuda
