#pragma once

// Collectives on tensors: contiguous, all of a call on one device, whose kind decides who moves
// them.
//
// What is added is added here, on the rank that keeps the sum, in the order of the ranks: so the
// same job gives the same bits over threads and over MPI, whatever algorithm the transport picks,
// and bf16 is rounded once however many ranks add.

#include "dist/collectives.h"
#include "tensor/tensor.h"

namespace vila::dist {

// input (ranks * n values), output (n values): output is the sum over the ranks of their slice
// rank() of input. Sums are taken in f32, or in f64 where input is f64, and rounded once to the
// dtype of output: f32, or that of input. What travels is input as it is. With `accumulate` the
// sum goes on from what output holds: ((output + slice of rank 0) + slice of rank 1) + ...
void reduce_scatter(Collectives& collectives, const Tensor& input, const Tensor& output,
                    bool accumulate = false);
// The same with `accumulate`, in the background: see Collectives::begin_all_to_all(). `parts` (of
// the shape and dtype of input) is room for what the others send.
void begin_reduce_scatter(Collectives& collectives, const Tensor& input, const Tensor& parts,
                          const Tensor& output);
// input (n values), output (ranks * n values), of one dtype: slice r of output is rank r's input.
void all_gather(Collectives& collectives, const Tensor& input, const Tensor& output);
// The same in the background: see Collectives::begin_all_gather().
void begin_all_gather(Collectives& collectives, const Tensor& input, const Tensor& output);
// data (any number of values): becomes the sum over the ranks; the same bits on every rank.
void all_reduce(Collectives& collectives, const Tensor& data);
void broadcast(Collectives& collectives, const Tensor& data, int64_t root = 0);

}  // namespace vila::dist
