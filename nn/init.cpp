#include "nn/init.h"

#include <cmath>

namespace vila::nn {

Init InitRule::operator()(int64_t inputs, double factor) const {
    const double scaled = scale * factor;
    const double by_fan_in = scaled / std::sqrt(static_cast<double>(inputs));
    if (kind == Kind::FanInNormal) return {InitKind::Normal, by_fan_in};
    if (kind == Kind::FanInUniform) return {InitKind::Uniform, by_fan_in};
    return {InitKind::Normal, scaled};
}

}  // namespace vila::nn
