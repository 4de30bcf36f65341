// The same elements in another shape.

#include "autograd/ops.h"

namespace vila::autograd {

Variable reshape(const Variable& x, const Shape& shape) {
    const Tensor y = x.value().contiguous().reshape(shape);
    return record("reshape", y, {x},
                  [edge = x.edge()](const Tensor& dy) { edge.add(dy.reshape(edge.shape())); });
}

}  // namespace vila::autograd
