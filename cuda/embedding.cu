// Looks up rows of a table by id, one thread per element. The gradient of the table adds rows by id
// (row_sums.h).

#include "cuda/elements.h"
#include "cuda/kernels.h"
#include "cuda/row_sums.h"

namespace vila::cuda {

namespace {

template <typename T>
struct EmbeddingForward {
    const T* table;
    const int32_t* ids;
    T* y;
    int64_t vocab, columns;
    Faults* faults;

    __device__ void operator()(int64_t i) const {
        const int64_t r = i / columns, c = i % columns;
        if (row_exists(faults, FaultKind::Embedding, r, ids[r], 0, vocab))
            y[i] = table[ids[r] * columns + c];
    }
};

}  // namespace

void embedding_forward(const EmbeddingForwardArgs& args) {
    for_float("embedding", args.table.dtype(), [&](auto zero) {
        using T = decltype(zero);
        CudaDevice& device = device_of(args.y);
        for_elements(
            device, args.y.numel(),
            EmbeddingForward<T>{args.table.data<T>(), args.ids.data<int32_t>(), args.y.data<T>(),
                                args.table.size(0), args.table.size(1), device.faults()});
    });
}

void embedding_backward(const EmbeddingBackwardArgs& args) {
    for_float("embedding", args.dy.dtype(), [&](auto zero) {
        add_rows_at<decltype(zero)>(args.dy, args.ids, args.dtable, 0, FaultKind::Embedding);
    });
}

}  // namespace vila::cuda
