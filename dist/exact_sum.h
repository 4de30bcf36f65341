#pragma once

// ExactSum: adds numbers without rounding, so that the total does not depend on their order, on
// threads or on how many ranks took part. A wide fixed-point number: 32 bits of value in each
// 64-bit limb, from the smallest double to beyond the largest (Kulisch 1971).

#include <array>
#include <cstdint>
#include <span>

#include "dist/collectives.h"
#include "tensor/tensor.h"

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
// What the totals of add_squares() must not depend on: nothing but the order of kernels, or where
// values that lie in a row are cut into tensors (at multiples of 64).
enum class SquaresFor { ThisCut, AnyCut };
// The sum of the squares of all values (f32 or f64, contiguous, all on one device). The squares of
// 64 values in a row are added in f64, in a fixed order; those totals exactly. On a GPU that takes
// the totals to the host: where the cut is always the same, each tensor's squares are added in f64,
// in a fixed order too, and the host waits for a number each, once.
void add_squares(std::span<const Tensor> values, ExactSum& sum,
                 SquaresFor cut = SquaresFor::AnyCut);

}  // namespace vila::dist
