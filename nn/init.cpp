#include "nn/init.h"

#include <cmath>

namespace vila::nn {

Init InitRule::operator()(int64_t inputs, double factor) const {
    const double spread = scale * factor;
    const double shrunk = spread / std::sqrt(static_cast<double>(inputs));
    if (kind == Kind::FanInNormal) return {InitKind::Normal, shrunk};
    if (kind == Kind::FanInUniform) return {InitKind::Uniform, shrunk};
    return {InitKind::Normal, spread};
}

}  // namespace vila::nn
