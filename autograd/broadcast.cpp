#include "autograd/broadcast.h"

#include <algorithm>

#include "tensor/kernels.h"

namespace vila::autograd {

Shape broadcast_shape(const char* op, const Shape& a, const Shape& b) {
    Shape shape = a.rank() >= b.rank() ? a : b;
    const Shape& other = a.rank() >= b.rank() ? b : a;
    for (int back = 1; back <= other.rank(); ++back) {
        int64_t& extent = shape[-back];
        VILA_CHECK(extent == other[-back] || extent == 1 || other[-back] == 1, "[", op, "] shapes ",
                   a, " and ", b, " do not broadcast: expected equal extents or 1");
        if (extent == 1) extent = other[-back];
    }
    return shape;
}

void add_summed(const Edge& edge, const Tensor& dx) {
    if (edge.shape() == dx.shape()) return edge.add(dx);
    const auto [sum, accumulate] = edge.target(dx.device());
    call(dx.device(), "sum_to", &Kernels::sum_to, {.x = dx, .y = sum, .accumulate = accumulate});
}

}  // namespace vila::autograd
