#pragma once

// The record of one training step: its line in RUN/log.jsonl and its text on the progress line.

#include <cstdint>
#include <string>
#include <vector>

#include "data/loader/loader.h"
#include "dist/collectives.h"
#include "tensor/json.h"

namespace vila::tools {

// One step, summed over all ranks.
struct StepTotals {
    int64_t max_micro_batches = 0;  // on the rank that has the most
    int64_t tokens = 0, targets = 0, truncated = 0;
    std::vector<data::BadSample> bad_samples;
    double loss = 0.0;                  // mean over the target tokens (clip: over the pairs)
    double norm = 0.0;                  // of all gradients, before clipping
    std::vector<double> source_losses;  // sum of the losses of each source
    std::vector<double> source_counts;  // target tokens of each source (clip: pairs)
    double flops = 0.0;
};

// Measurements of a step on this rank.
struct StepCosts {
    double seconds = 0.0;
    dist::Traffic traffic;
    double tokens_per_second(const StepTotals& totals) const {
        return static_cast<double>(totals.tokens) / seconds;
    }
};

// The log line of step number `step`. `sources` are the names of the data sources. `several_ranks`
// adds the communication of rank 0.
Json step_line(int64_t step, const StepTotals& totals, double lr, const StepCosts& costs,
               const std::vector<std::string>& sources, bool several_ranks);
// The text after the step number on the progress line. `peak_flops` is the sum over all ranks, in
// operations per second, or 0 if it was not measured.
std::string step_text(const StepTotals& totals, const StepCosts& costs, double peak_flops,
                      bool several_ranks);

// Names of the samples of all ranks' batches, for reports of bad steps. All ranks call it.
Json all_sample_ids(dist::Collectives& ranks, const data::StepBatch& batch,
                    const std::vector<std::string>& sources);
// Returns the bad records of this step on all ranks. All ranks must call it.
std::vector<data::BadSample> all_bad_samples(dist::Collectives& ranks,
                                             const data::StepBatch& batch);

}  // namespace vila::tools
