#pragma once

// The learning rate as a pure function of the step.

#include <cstdint>
#include <string>

namespace vila::nn {

enum class Decay {
    Cosine,    // half a cosine from the peak to `final_ratio` times the peak
    Constant,  // the peak
};
// "cosine" or "constant"; throws on anything else.
Decay decay_from_name(const std::string& name);

struct Schedule {
    double peak = 0.0;          // learning rate after the warm-up
    double warmup_ratio = 0.0;  // share of the steps in which it rises linearly from 0
    Decay decay = Decay::Cosine;
    int64_t total_steps = 0;
    double final_ratio = 0.0;

    // Steps of warm-up: the ratio of total_steps, rounded up.
    int64_t warmup_steps() const;
    // The rate of step 0, 1, ..., total_steps - 1, as the Hugging Face trainer computes it: with a
    // warm-up, step 0 has rate 0; cosine reaches its end at step total_steps.
    double at(int64_t step) const;
};

}  // namespace vila::nn
