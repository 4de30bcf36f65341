#pragma once

// Shared by the tests of add and mul: an operator of two operands with NumPy's broadcasting, and
// the patterns of shapes that it is tested on.

#include "tests/support/driver.h"

namespace vila::testing {

// Returns the element of `x` that is broadcast to element `i` of a result of shape `full`.
inline double broadcast_element(const Array& x, const Shape& full, int64_t i) {
    int64_t offset = 0, stride = 1;
    for (int back = 1; back <= full.rank(); ++back) {
        const int64_t position = i % full[-back];
        i /= full[-back];
        if (back > x.shape.rank()) continue;
        if (x.shape[-back] != 1) offset += position * stride;
        stride *= x.shape[-back];
    }
    return x[offset];
}

struct BroadcastShapes {
    Shape a, b, y;
};
inline std::vector<BroadcastShapes> broadcast_shapes() {
    return {
        {{0, 3}, {0, 3}, {0, 3}},                 // no elements
        {{5, 17}, {5, 17}, {5, 17}},              // one long run
        {{1}, {1}, {1}},                          // one element
        {{7, 33}, {33}, {7, 33}},                 // a row added to all rows: a bias
        {{33}, {7, 33}, {7, 33}},                 // the same with the operands exchanged
        {{7, 33}, {7, 1}, {7, 33}},               // a column for all columns
        {{7, 1}, {1, 33}, {7, 33}},               // an outer product
        {{1}, {131, 5}, {131, 5}},                // a scalar
        {{3, 4, 5}, {4, 5}, {3, 4, 5}},           // one matrix for a batch
        {{3, 4, 5}, {4, 1}, {3, 4, 5}},           // an axis in the middle
        {{2, 1, 3, 1}, {5, 1, 7}, {2, 5, 3, 7}},  // both, alternating
        {{0, 3}, {3}, {0, 3}},                    // a row for no rows
    };
}

class BroadcastOp : public OpTest {
  public:
    explicit BroadcastOp(const BroadcastShapes& shapes) : shapes_(shapes) {}
    std::vector<Sizes> sizes() const override { return {{}, {}}; }
    bool checks_rank(const std::string&) const override { return false; }
    std::vector<Operand> operands(const Sizes&) const override {
        return {normal("a", shapes_.a), normal("b", shapes_.b)};
    }
    Array reference(const Sizes&, const Arrays& in) const override {
        Array y = Array::of(shapes_.y);
        for (int64_t i = 0; i < shapes_.y.numel(); ++i)
            y[i] = combine(broadcast_element(in.at("a"), shapes_.y, i),
                           broadcast_element(in.at("b"), shapes_.y, i));
        return y;
    }

  private:
    virtual double combine(double a, double b) const = 0;
    BroadcastShapes shapes_;
};

}  // namespace vila::testing
