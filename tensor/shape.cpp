#include "tensor/shape.h"

#include <algorithm>

#include "tensor/check.h"

namespace vila {

Shape::Shape(std::initializer_list<int64_t> extents)
    : Shape(std::span<const int64_t>(extents.begin(), extents.size())) {}

Shape::Shape(std::span<const int64_t> extents) {
    for (const int64_t extent : extents) push_back(extent);
}

int Shape::resolve(int axis) const {
    const int resolved = axis < 0 ? axis + rank_ : axis;
    VILA_CHECK(resolved >= 0 && resolved < rank_, "axis ", axis, " does not exist in shape ",
               *this);
    return resolved;
}

bool Shape::operator==(const Shape& other) const {
    return rank_ == other.rank_ && std::equal(begin(), end(), other.begin());
}

int64_t Shape::numel() const {
    int64_t count = 1;
    for (const int64_t extent : *this) count = checked_mul(count, extent);
    return count;
}

Shape Shape::row_major_strides() const {
    Shape strides = *this;
    int64_t stride = 1;
    for (int axis = rank_ - 1; axis >= 0; --axis) {
        strides.extents_[axis] = stride;
        stride = checked_mul(stride, std::max<int64_t>(extents_[axis], 1));
    }
    return strides;
}

void Shape::push_back(int64_t extent) {
    VILA_CHECK(rank_ < kMaxRank, "a tensor has at most ", kMaxRank, " axes");
    extents_[rank_++] = extent;
}

int64_t checked_mul(int64_t a, int64_t b) {
    int64_t product = 0;
    VILA_CHECK(!__builtin_mul_overflow(a, b, &product), "size ", a, " x ", b, " does not fit");
    return product;
}

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
    out << '(';
    for (int axis = 0; axis < shape.rank(); ++axis) out << (axis ? ", " : "") << shape[axis];
    return out << ')';
}

}  // namespace vila
