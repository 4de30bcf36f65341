#pragma once

// Checks on the GPU that cu_seqlens, which come with the data, are valid before a kernel uses them.

#include "cuda/elements.h"
#include "cuda/row_exists.h"

namespace vila::cuda {

// Records a fault unless cu_seqlens (sequences + 1) never decrease and stay within [0, rows]. Runs
// in one thread.
struct CheckCuSeqlens {
    const int32_t* cu_seqlens;
    int64_t sequences, rows;
    FaultKind ends, order;
    Faults* faults;

    __device__ void operator()(int64_t /*i*/) const {
        if (cu_seqlens[0] < 0 || cu_seqlens[sequences] > rows)
            report(faults, ends, rows, cu_seqlens[0], cu_seqlens[sequences]);
        for (int64_t b = 0; b < sequences; ++b)
            if (cu_seqlens[b] > cu_seqlens[b + 1])
                report(faults, order, b, cu_seqlens[b], cu_seqlens[b + 1]);
    }
};

// Launches the checks of CheckCuSeqlens. The kinds of fault: `ends` for values outside [0, rows],
// `order` for values that decrease.
inline void check_cu_seqlens(CudaDevice& device, const Tensor& cu_seqlens, int64_t rows,
                             FaultKind ends, FaultKind order) {
    for_elements(device, 1,
                 CheckCuSeqlens{cu_seqlens.data<int32_t>(), cu_seqlens.numel() - 1, rows, ends,
                                order, device.faults()});
}

// Does the checks of CheckCuSeqlens, and records a fault unless cu_seqlens run from 0 to rows, so
// that every row belongs to a sequence.
struct CheckCover {
    CheckCuSeqlens inner;
    FaultKind cover;

    __device__ void operator()(int64_t i) const {
        inner(i);
        if (inner.cu_seqlens[0] != 0 || inner.cu_seqlens[inner.sequences] != inner.rows)
            report(inner.faults, cover, inner.rows, inner.cu_seqlens[0],
                   inner.cu_seqlens[inner.sequences]);
    }
};

// Clamps `value` to [0, rows], for kernels that run before the fault is thrown.
__device__ inline int64_t clamp_row(int64_t value, int64_t rows) {
    return value < 0 ? 0 : value > rows ? rows : value;
}

}  // namespace vila::cuda
