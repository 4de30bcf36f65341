#pragma once

// Packing chooses the samples that share a micro-batch, so that few positions stay empty. It never
// splits samples. (The model keeps attention inside each sample.)

#include <cstdint>
#include <span>
#include <vector>

namespace vila::data {

// Packs by best-fit decreasing: the longest samples first, each into the fullest bin that has room
// for it, or into a new one. Then, while the number of bins is not a multiple of `multiple_of`,
// moves the shortest sample of the bin with the most samples to a new bin, so that every rank runs
// the same number of bins.
//
// `lengths` are the positions of each sample, images spliced, each in [0, budget]; `budget` is the
// most positions of a bin. Returns bins of indices into `lengths`, fullest bin first, indices
// ascending within a bin. Deterministic. Throws if a length is above the budget, or if there are
// too few samples for a multiple of multiple_of bins.
std::vector<std::vector<int64_t>> pack(std::span<const int64_t> lengths, int64_t budget,
                                       int64_t multiple_of = 1);

// Packs into as many bins as pack() does, but with similar costs (in any unit), so that ranks that
// run bins at the same time wait little for each other. Puts the samples, most expensive first,
// into the cheapest bin that has room. If that fails, returns the bins of pack(). Returns the most
// expensive bin first.
std::vector<std::vector<int64_t>> pack_evenly(std::span<const int64_t> lengths,
                                              std::span<const double> costs, int64_t budget,
                                              int64_t multiple_of = 1);

// Forms groups of `size` samples (the last ones may have fewer), a multiple of `multiple_of` groups
// if the number of samples allows it. Samples of similar cost go into the `multiple_of` groups that
// run at the same time. Returns the most expensive groups first, indices ascending within a group.
std::vector<std::vector<int64_t>> group_evenly(std::span<const double> costs, int64_t size,
                                               int64_t multiple_of);

}  // namespace vila::data
