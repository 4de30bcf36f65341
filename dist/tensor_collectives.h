#pragma once

// Collectives on tensors. The tensors of a call must be contiguous and on one device, which decides
// whether the data moves through host memory or between GPUs.
//
// Sums are computed here, on the rank that keeps the sum, in the order of the ranks. So a job gives
// the same bits over threads, MPI and NCCL, whichever algorithm they use, and bf16 sums are rounded
// once for any number of ranks.

#include "dist/collectives.h"
#include "tensor/tensor.h"

namespace vila::dist {

// input (ranks * n values), output (n values): output becomes the sum over the ranks of slice
// rank() of their inputs. Sums are computed in f32 (f64 for f64) and rounded once to the dtype of
// output: f32, or the dtype of input. Data is sent in the dtype of input. With `accumulate` the sum
// starts from output: ((output + slice of rank 0) + slice of rank 1) + ...
void reduce_scatter(Collectives& collectives, const Tensor& input, const Tensor& output,
                    bool accumulate = false);
// reduce_scatter() with `accumulate`, in the background: see Collectives::begin_all_to_all().
// `parts` (shape and dtype of input) receives the slices that the other ranks send.
void begin_reduce_scatter(Collectives& collectives, const Tensor& input, const Tensor& parts,
                          const Tensor& output);
// input (n values), output (ranks * n values), of one dtype: slice r of output is rank r's input.
void all_gather(Collectives& collectives, const Tensor& input, const Tensor& output);
// all_gather() in the background: see Collectives::begin_all_gather().
void begin_all_gather(Collectives& collectives, const Tensor& input, const Tensor& output);
// data (any number of values) becomes its sum over the ranks, with the same bits on every rank.
void all_reduce(Collectives& collectives, const Tensor& data);
// data becomes a copy of the data of rank `root`.
void broadcast(Collectives& collectives, const Tensor& data, int64_t root = 0);

}  // namespace vila::dist
