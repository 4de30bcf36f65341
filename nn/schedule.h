#pragma once

// The learning rate schedule: a pure function of the step.

#include <cstdint>
#include <string>

namespace vila::nn {

enum class Decay {
    Cosine,    // half a period of a cosine, from the peak to `final_ratio` times the peak
    Constant,  // the peak at every step
};
// Parses "cosine" or "constant"; throws on anything else.
Decay decay_from_name(const std::string& name);

struct Schedule {
    double peak = 0.0;          // learning rate after warmup
    double warmup_ratio = 0.0;  // fraction of the steps in which the rate rises linearly from 0
    Decay decay = Decay::Cosine;
    int64_t total_steps = 0;
    double final_ratio = 0.0;  // learning rate at the end of the cosine, as a fraction of the peak

    // warmup_ratio * total_steps, rounded up.
    int64_t warmup_steps() const;
    // The learning rate of step 0, 1, ..., total_steps - 1, as in the Hugging Face trainer: with
    // warmup, step 0 has rate 0; the cosine ends at step total_steps.
    double at(int64_t step) const;
};

}  // namespace vila::nn
