// y = a * b, with broadcasting.

#include "autograd/broadcast.h"
#include "autograd/checks.h"
#include "autograd/ops.h"

namespace vila::autograd {

namespace {

// Adds dy * factor to the gradient of the edge, summed to its shape. Products are summed in f32
// (f64 for f64).
void add_product(const Edge& edge, const Tensor& dy, const Tensor& factor) {
    const bool summed = edge.shape() != dy.shape();
    const DType dtype = summed ? accumulation_dtype(dy.dtype()) : dy.dtype();
    const Tensor product = Tensor::empty(dy.device(), dy.shape(), dtype);
    call(dy.device(), "mul", &Kernels::mul,
         {.a = dy.to(dtype), .b = factor.to(dtype), .y = product});
    add_summed(edge, product);
}

}  // namespace

Variable mul(const Variable& a, const Variable& b) {
    check_float("mul", "a", a.value());
    const ActivityScope scope(a.device(), {"", "mul"});
    check_operand("mul", "b", b.value(), b.shape(), a.dtype(), a.device());
    const Tensor left = a.value().contiguous(), right = b.value().contiguous();
    const Tensor y =  // the broadcast shape
        Tensor::empty(a.device(), broadcast_shape("mul", a.shape(), b.shape()), a.dtype());
    call(a.device(), "mul", &Kernels::mul, {.a = left, .b = right, .y = y});
    return record("mul", y, {a, b}, [da = a.edge(), db = b.edge(), left, right](const Tensor& dy) {
        if (da.wanted()) add_product(da, dy, right);
        if (db.wanted()) add_product(db, dy, left);
    });
}

}  // namespace vila::autograd
