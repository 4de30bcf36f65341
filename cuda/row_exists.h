#pragma once

// Range checks in kernels, for indices that come with the data.

#include "cuda/fault.h"
#include "cuda/runtime.h"

namespace vila::cuda {

// Records a fault unless one of this kind at a lower position is recorded already.
__device__ inline void report(Faults* faults, FaultKind kind, int64_t position, int32_t value,
                              int64_t other) {
    Fault& fault = faults->kinds[static_cast<int>(kind)];
    const auto packed = static_cast<unsigned long long>(position) << 32 |
                        static_cast<unsigned long long>(static_cast<uint32_t>(value));
    if (packed < atomicMin(&fault.first, packed)) fault.other = other;
}

// Returns whether `value` is in [lowest, rows), and records a fault if not.
__device__ inline bool row_exists(Faults* faults, FaultKind kind, int64_t position, int32_t value,
                                  int32_t lowest, int64_t rows) {
    if (value >= lowest && value < rows) return true;
    report(faults, kind, position, value, rows - 1);
    return false;
}

}  // namespace vila::cuda
