#pragma once

// Extents and strides of a tensor: a short list of int64, at most eight long, held by value.

#include <array>
#include <cstdint>
#include <initializer_list>
#include <ostream>
#include <span>

namespace vila {

class Shape {
  public:
    static constexpr int kMaxRank = 8;

    Shape() = default;
    Shape(std::initializer_list<int64_t> extents);
    explicit Shape(std::span<const int64_t> extents);

    int rank() const { return rank_; }
    // Axis -1 is the last one.
    int64_t operator[](int axis) const { return extents_[resolve(axis)]; }
    int64_t& operator[](int axis) { return extents_[resolve(axis)]; }
    const int64_t* begin() const { return extents_.data(); }
    const int64_t* end() const { return extents_.data() + rank_; }
    bool operator==(const Shape& other) const;

    // Number of elements: the product, 1 for rank 0. Throws when it overflows int64.
    int64_t numel() const;
    // Strides, in elements, of a contiguous row-major tensor of this shape.
    Shape row_major_strides() const;
    void push_back(int64_t extent);

  private:
    int resolve(int axis) const;

    std::array<int64_t, kMaxRank> extents_{};
    int rank_ = 0;
};

// a * b for sizes. Throws if the product overflows int64.
int64_t checked_mul(int64_t a, int64_t b);

std::ostream& operator<<(std::ostream& out, const Shape& shape);  // "(2, 3)"

}  // namespace vila
