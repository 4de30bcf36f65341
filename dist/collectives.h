#pragma once

// Collectives: what the ranks of a job say to each other. One interface over the ways in which
// ranks can be connected: a process alone, threads of one process (tests), MPI.
//
// Every rank calls the same functions in the same order with the same sizes; what differs is an
// error of the caller, which implementations report where they can see it (threads do, MPI cannot).
// A Collectives object belongs to one thread at a time.
//
// An implementation moves bytes and nothing else. What is added is added here, on the rank that
// keeps the sum, in the order of the ranks: so the same job gives the same bits over threads and
// over MPI, whatever algorithm the transport picks, and bf16 is rounded once however many ranks
// add.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace vila::dist {

class Collectives {
  public:
    virtual ~Collectives() = default;

    virtual int64_t rank() const = 0;
    virtual int64_t ranks() const = 0;
    // "one process", "threads", "mpi": for messages.
    virtual std::string name() const = 0;

    // Returns once every rank has come.
    virtual void barrier() = 0;
    // Gives every rank the root's bytes.
    virtual void broadcast(void* data, int64_t bytes, int64_t root) = 0;
    // out (ranks blocks of `bytes`): block r is what rank r has at `in`.
    virtual void all_gather(const void* in, void* out, int64_t bytes) = 0;
    // in, out (ranks blocks of `bytes`): block r of `in` goes to rank r, block r of `out` came from
    // rank r. The two must not overlap.
    virtual void all_to_all(const void* in, void* out, int64_t bytes) = 0;
};

// A job of one rank.
std::unique_ptr<Collectives> one_process();

// --- tensors: contiguous, in memory of the CPU ---

// input (ranks * n values), output (n values): output is the sum over the ranks of their slice
// rank() of input. Sums are taken in f32, or in f64 where input is f64, and rounded once to the
// dtype of output: f32, or that of input. What travels is input as it is. With `accumulate` the
// sum goes on from what output holds: ((output + slice of rank 0) + slice of rank 1) + ...
void reduce_scatter(Collectives& collectives, const Tensor& input, const Tensor& output,
                    bool accumulate = false);
// input (n values), output (ranks * n values), of one dtype: slice r of output is rank r's input.
void all_gather(Collectives& collectives, const Tensor& input, const Tensor& output);
// data (any number of values): becomes the sum over the ranks; the same bits on every rank.
void all_reduce(Collectives& collectives, const Tensor& data);
void broadcast(Collectives& collectives, const Tensor& data, int64_t root = 0);

// --- small things: counts, norms, votes, texts ---

// Each value summed over the ranks, in f64 and in their order.
std::vector<double> sum(Collectives& collectives, std::span<const double> values);
double sum(Collectives& collectives, double value);
// The largest over the ranks.
int64_t largest(Collectives& collectives, int64_t value);
// Whether it is true on every rank, on any rank.
bool all_of(Collectives& collectives, bool value);
bool any_of(Collectives& collectives, bool value);
// Every rank's text, by rank.
std::vector<std::string> all_gather(Collectives& collectives, const std::string& text);

}  // namespace vila::dist
