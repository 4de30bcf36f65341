// y = a + b, with broadcasting.

#include "autograd/broadcast.h"
#include "autograd/checks.h"
#include "autograd/ops.h"

namespace vila::autograd {

Variable add(const Variable& a, const Variable& b) {
    check_float("add", "a", a.value());
    const ActivityScope scope(a.device(), {"", "add"});
    check_operand("add", "b", b.value(), b.shape(), a.dtype(), a.device());
    const Tensor y =  // the broadcast shape
        Tensor::empty(a.device(), broadcast_shape("add", a.shape(), b.shape()), a.dtype());
    call(a.device(), "add", &Kernels::add,
         {.a = a.value().contiguous(), .b = b.value().contiguous(), .y = y});
    return record("add", y, {a, b}, [da = a.edge(), db = b.edge()](const Tensor& dy) {
        if (da.wanted()) add_summed(da, dy);
        if (db.wanted()) add_summed(db, dy);
    });
}

}  // namespace vila::autograd
