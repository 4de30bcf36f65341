#pragma once

// Packing: which samples share a micro-batch, so that few positions are wasted. Samples are never
// split; attention stays inside each sample, which is the model's business.

#include <cstdint>
#include <span>
#include <vector>

namespace vila::data {

// Best-fit decreasing: the longest samples first, each into the fullest bin that still takes it, or
// a new one. Then, while the number of bins is not a multiple of `multiple_of`, the bin with the
// most samples gives its shortest to a new bin, so that every rank runs the same number.
//
// lengths: tokens of each sample, images spliced, each in [0, budget]. Returns bins of indices into
// `lengths`, fullest bin first, indices ascending within a bin. Deterministic. Throws when a length
// is above the budget, or when there are fewer samples than multiple_of.
std::vector<std::vector<int64_t>> pack(std::span<const int64_t> lengths, int64_t budget,
                                       int64_t multiple_of = 1);

// The same samples in as many bins, but evenly by what they cost to run (any unit): ranks that run
// bins side by side then wait little for one another. The dearest first, each into the cheapest bin
// that takes it. Bins come dearest first.
std::vector<std::vector<int64_t>> pack_evenly(std::span<const int64_t> lengths,
                                              std::span<const double> costs, int64_t budget,
                                              int64_t multiple_of = 1);

// Groups of `size` samples (the last ones may have less), a multiple of `multiple_of` groups where
// the number of samples allows it: neighbours in cost go into the `multiple_of` groups that run
// side by side. Groups come dearest first, indices ascending within a group.
std::vector<std::vector<int64_t>> group_evenly(std::span<const double> costs, int64_t size,
                                               int64_t multiple_of);

}  // namespace vila::data
