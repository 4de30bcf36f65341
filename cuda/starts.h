#pragma once

// Sequence starts that come with the data, checked on the GPU before a kernel follows them.

#include "cuda/elements.h"
#include "cuda/row_exists.h"

namespace vila::cuda {

// One thread: notes when `starts` (sequences + 1) does not rise inside [0, rows].
struct CheckStarts {
    const int32_t* starts;
    int64_t sequences, rows;
    FaultKind ends, order;
    Faults* faults;

    __device__ void operator()(int64_t /*i*/) const {
        if (starts[0] < 0 || starts[sequences] > rows)
            report(faults, ends, rows, starts[0], starts[sequences]);
        for (int64_t b = 0; b < sequences; ++b)
            if (starts[b] > starts[b + 1]) report(faults, order, b, starts[b], starts[b + 1]);
    }
};

inline void check_starts(CudaDevice& device, const Tensor& starts, int64_t rows, FaultKind ends,
                         FaultKind order) {
    for_elements(device, 1,
                 CheckStarts{starts.data<int32_t>(), starts.numel() - 1, rows, ends, order,
                             device.faults()});
}

// The same, and every row must belong to a sequence: starts run from 0 to rows.
struct CheckCover {
    CheckStarts inner;
    FaultKind cover;

    __device__ void operator()(int64_t i) const {
        inner(i);
        if (inner.starts[0] != 0 || inner.starts[inner.sequences] != inner.rows)
            report(inner.faults, cover, inner.rows, inner.starts[0], inner.starts[inner.sequences]);
    }
};

// `value` kept inside [0, rows]: what a kernel uses that runs before the fault is thrown.
__device__ inline int64_t inside(int64_t value, int64_t rows) {
    return value < 0 ? 0 : value > rows ? rows : value;
}

}  // namespace vila::cuda
