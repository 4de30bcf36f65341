#pragma once

// ExactSum: adds numbers without rounding, so that the total does not depend on their order, on
// threads or on how many ranks took part. A wide fixed-point number: 32 bits of value in each
// 64-bit limb, from the smallest double to beyond the largest (Kulisch 1971).

#include <array>
#include <cstdint>
#include <span>

#include "dist/collectives.h"

namespace vila::dist {

class ExactSum {
  public:
    void add(double value);
    void add(const ExactSum& other);
    // The total, rounded; NaN once something infinite or not a number was added.
    double value() const;

  private:
    static constexpr int kLimbs = 68;
    void carry();

    std::array<int64_t, kLimbs> limbs_ = {};
    int64_t added_ = 0;  // since the last carry
    int64_t not_finite_ = 0;
};

// Each of the sums over all ranks; the same bits on every rank.
void sum_over_ranks(Collectives& collectives, std::span<ExactSum> sums);
// The sum of the squares of the values (f32 or f64, contiguous, on the CPU). The squares of 64
// values in a row are added in f64, in a fixed order; those totals exactly.
void add_squares(const Tensor& values, ExactSum& sum);

}  // namespace vila::dist
