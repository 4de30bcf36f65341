#include "models/position_grid.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace vila::models {

namespace {

constexpr double kSharpness = -0.75;

// The weight of a point at distance x (Keys 1981).
double cubic(double x) {
    const double a = kSharpness;
    x = std::abs(x);
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    if (x < 2.0) return ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a;
    return 0.0;
}

// The four points of one axis that contribute to a resampled point, and their weights.
struct Taps {
    std::array<int64_t, 4> at{};
    std::array<double, 4> weight{};
};

Taps taps(int64_t index, int64_t from, int64_t to) {
    const double scale = static_cast<double>(from) / static_cast<double>(to);
    const double center = (static_cast<double>(index) + 0.5) * scale - 0.5;
    const auto first = static_cast<int64_t>(std::floor(center)) - 1;
    Taps result;
    for (int64_t tap = 0; tap < 4; ++tap) {
        const auto t = static_cast<size_t>(tap);
        result.at[t] = std::clamp<int64_t>(first + tap, 0, from - 1);
        result.weight[t] = cubic(center - static_cast<double>(first + tap));
    }
    return result;
}

}  // namespace

Tensor resize_position_grid(const Tensor& table, int64_t leading, int64_t side) {
    const int64_t width = table.size(1);
    const int64_t cells = table.size(0) - leading;
    const auto from = static_cast<int64_t>(std::llround(std::sqrt(static_cast<double>(cells))));
    VILA_CHECK(from >= 1 && from * from == cells, "position embeddings of ", table.size(0),
               " rows are not those of a square grid");
    const std::vector<double> old = table.to_vector<double>();                // (rows, C)
    std::vector<double> resized(old.begin(), old.begin() + leading * width);  // (new rows, C)
    for (int64_t row = 0; row < side; ++row) {
        const Taps rows = taps(row, from, side);
        for (int64_t column = 0; column < side; ++column) {
            const Taps columns = taps(column, from, side);
            for (int64_t c = 0; c < width; ++c) {
                double sum = 0.0;
                for (size_t i = 0; i < 4; ++i)
                    for (size_t j = 0; j < 4; ++j)
                        sum += rows.weight[i] * columns.weight[j] *
                               old[(leading + rows.at[i] * from + columns.at[j]) * width + c];
                resized.push_back(sum);
            }
        }
    }
    return Tensor::from_values(table.device(), {leading + side * side, width}, resized)
        .to(table.dtype());
}

}  // namespace vila::models
