#pragma once

// ExactSum: adds numbers without rounding, so that the total does not depend on their order, on the
// number of threads, or on the number of ranks. It is a wide fixed-point number: 32 bits of value
// in each 64-bit limb, from the smallest double to beyond the largest (Kulisch 1971).

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
    // The total, rounded to f64. NaN once an infinity or a NaN was added.
    double value() const;

  private:
    static constexpr int kLimbs = 68;
    void carry();

    std::array<int64_t, kLimbs> limbs_ = {};
    int64_t added_ = 0;       // numbers since the last carry
    int64_t not_finite_ = 0;  // infinities and NaNs
};

// Replaces each sum by its total over all ranks. Every rank gets the same bits.
void sum_over_ranks(Collectives& collectives, std::span<ExactSum> sums);

// The ways of splitting values into tensors that must give add_squares() the same result.
enum class Partition {
    Fixed,  // one way only: the values are always split in the same way
    Any,    // every way that splits at multiples of 64 values
};
// Adds the squares of all values (f32 or f64, contiguous, all on one device) to `sum`. The squares
// of each run of 64 values are added in f64, in a fixed order; the totals of the runs are added
// exactly. For tensors on a GPU, the host fetches one number per run. With Partition::Fixed, a GPU
// adds all squares of a tensor in f64 instead, also in a fixed order, and the host fetches one
// number per tensor, all of them at once.
void add_squares(std::span<const Tensor> values, ExactSum& sum,
                 Partition partition = Partition::Any);

}  // namespace vila::dist
