// Looks up rows of a table by token id.

#include "autograd/checks.h"
#include "autograd/ops.h"

namespace vila::autograd {

Variable embedding(const Variable& table, const Tensor& ids) {
    check_float("embedding", "table", table.value(), 2);
    const ActivityScope scope(table.device(), {"", "embedding"});
    check_index("embedding", "ids", ids, table.device());
    const Tensor y =  // (R, C)
        Tensor::empty(table.device(), {ids.size(0), table.size(1)}, table.dtype());
    call(table.device(), "embedding_forward", &Kernels::embedding_forward,
         {.table = table.value().contiguous(), .ids = ids, .y = y});
    return record("embedding", y, {table}, [dtable = table.edge(), ids](const Tensor& dy) {
        call(dy.device(), "embedding_backward", &Kernels::embedding_backward,
             {.ids = ids, .dy = dy, .dtable = dtable.accumulator(dy.device())});
    });
}

}  // namespace vila::autograd
