#include "nn/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tensor/check.h"

namespace vila::nn {

Decay decay_from_name(const std::string& name) {
    if (name == "cosine") return Decay::Cosine;
    if (name == "constant") return Decay::Constant;
    throw Error(str("schedule decay \"", name, "\": expected cosine or constant"));
}

int64_t Schedule::warmup_steps() const {
    return static_cast<int64_t>(std::ceil(warmup_ratio * static_cast<double>(total_steps)));
}

double Schedule::at(int64_t step) const {
    const int64_t warmup = warmup_steps();
    if (step < warmup) return peak * static_cast<double>(step) / static_cast<double>(warmup);
    if (decay == Decay::Constant) return peak;
    const double decaying = static_cast<double>(std::max<int64_t>(1, total_steps - warmup));
    const double progress = std::min(1.0, static_cast<double>(step - warmup) / decaying);
    const double cosine = 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
    return peak * (final_ratio + (1.0 - final_ratio) * cosine);
}

}  // namespace vila::nn
