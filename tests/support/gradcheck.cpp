#include "tests/support/gradcheck.h"

#include <algorithm>
#include <cmath>

#include "tensor/random.h"
#include "tests/support/driver.h"

namespace vila::testing {

namespace {

// A quarter of the digits of f64: truncation error h^2 and rounding error 1e-16 / h are both about
// 1e-11 for functions of size 1.
constexpr double kStep = 1e-5;
constexpr double kTolerance = 1e-6;

double dot(const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0.0;
    for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
}

}  // namespace

std::string check_gradients(const std::vector<std::pair<std::string, autograd::Variable>>& inputs,
                            const std::function<autograd::Variable()>& body, int64_t probes) {
    const autograd::Variable y = body();
    const std::vector<double> weights = draw_normal("gradcheck", y.value().numel());
    autograd::backward(y, make_tensor(y.device(), {y.shape(), weights}, y.dtype()));
    const autograd::NoGrad no_grad(y.device());
    const auto evaluate = [&] { return dot(body().value().to_vector<double>(), weights); };
    for (const auto& [name, variable] : inputs) {
        const int64_t count = variable.value().numel();
        if (count == 0) continue;
        const std::vector<double> gradient =
            variable.grad().defined() ? variable.grad().to_vector<double>()
                                      : std::vector<double>(static_cast<size_t>(count), 0.0);
        std::vector<double> x = variable.value().to_vector<double>();
        for (int64_t probe = 0; probe < std::min(probes, count); ++probe) {
            const int64_t i = count <= probes ? probe
                                              : random_below(random_key(test_seed(), name),
                                                             static_cast<uint64_t>(probe), count);
            const double before = x[i];
            // Clang 14 captures no structured binding by itself.
            const auto at = [&, &x_there = variable](double value) {
                x[i] = value;
                x_there.value().copy_from_host(x.data());
                return evaluate();
            };
            const double above = at(before + kStep), below = at(before - kStep);
            x[i] = before;
            variable.value().copy_from_host(x.data());
            const double expected = (above - below) / (2 * kStep);
            const double got = gradient[static_cast<size_t>(i)];
            if (!(std::fabs(got - expected) <= kTolerance * std::max(1.0, std::fabs(expected))))
                return str("gradient of ", name, " at element ", i, ": finite differences give ",
                           expected, ", backward gives ", got);
        }
    }
    return "";
}

}  // namespace vila::testing
