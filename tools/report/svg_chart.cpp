#include "tools/report/svg_chart.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>

#include "tools/report/html_page.h"

namespace vila::tools {

namespace {

constexpr double kWidth = 470, kHeight = 260;
constexpr double kLeft = 58, kRight = 12, kTop = 28, kBottom = 40;
constexpr int kMaxPoints = 400;
constexpr const char* kColors[] = {"#1f6fb4", "#d9662b", "#2e8b57", "#8e44ad",
                                   "#b03a5b", "#6b7785", "#a37c0c"};

struct Range {
    double low = std::numeric_limits<double>::infinity();
    double high = -std::numeric_limits<double>::infinity();

    void include(double value) {
        low = std::min(low, value);
        high = std::max(high, value);
    }
};

std::string number(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.4g", value);
    return text;
}

std::string pixel(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f", value);
    return text;
}

// The step 1, 2 or 5 times a power of ten that gives about five ticks.
double tick_step(const Range& range) {
    const double rough = (range.high - range.low) / 5.0;
    const double power = std::pow(10.0, std::floor(std::log10(rough)));
    for (const double factor : {1.0, 2.0, 5.0})
        if (rough <= factor * power) return factor * power;
    return 10.0 * power;
}

using Points = std::vector<std::pair<double, double>>;

Points thin_out(const Points& points) {
    Points finite;
    std::copy_if(points.begin(), points.end(), std::back_inserter(finite),
                 [](const auto& point) { return std::isfinite(point.second); });
    const size_t group = (finite.size() + kMaxPoints - 1) / kMaxPoints;
    if (group <= 1) return finite;
    Points thinned;
    for (size_t begin = 0; begin < finite.size(); begin += group) {
        const size_t end = std::min(begin + group, finite.size());
        double x = 0, y = 0;
        for (size_t i = begin; i < end; ++i) x += finite[i].first, y += finite[i].second;
        const double count = static_cast<double>(end - begin);
        thinned.emplace_back(x / count, y / count);
    }
    return thinned;
}

struct Axes {
    Range x, y;

    double to_x(double value) const {
        return kLeft + (value - x.low) / (x.high - x.low) * (kWidth - kLeft - kRight);
    }
    double to_y(double value) const {
        return kHeight - kBottom - (value - y.low) / (y.high - y.low) * (kHeight - kTop - kBottom);
    }
};

Axes fit_axes(const std::vector<Points>& lines) {
    Axes axes;
    for (const Points& line : lines)
        for (const auto& [x, y] : line) axes.x.include(x), axes.y.include(y);
    if (!(axes.x.low <= axes.x.high)) axes.x = {0, 1}, axes.y = {0, 1};
    for (Range* range : {&axes.x, &axes.y}) {
        // Far from zero, a tick must still differ from the one before it.
        const double size = std::max(std::fabs(range->low), std::fabs(range->high));
        if (range->high - range->low >= 1e-12 + 1e-9 * size) continue;
        const double margin = std::max(0.5, 1e-6 * size);
        range->low -= margin, range->high += margin;
    }
    return axes;
}

std::string line_element(double x1, double y1, double x2, double y2, const char* color) {
    return "<line x1=\"" + pixel(x1) + "\" y1=\"" + pixel(y1) + "\" x2=\"" + pixel(x2) +
           "\" y2=\"" + pixel(y2) + "\" stroke=\"" + color + "\"/>";
}

std::string text_element(double x, double y, const char* anchor, const std::string& text) {
    return "<text x=\"" + pixel(x) + "\" y=\"" + pixel(y) + "\" text-anchor=\"" + anchor + "\">" +
           html_escape(text) + "</text>";
}

std::string grid(const Axes& axes) {
    std::string svg;
    const double step_x = tick_step(axes.x), step_y = tick_step(axes.y);
    for (double x = std::ceil(axes.x.low / step_x) * step_x; x <= axes.x.high; x += step_x)
        svg += text_element(axes.to_x(x), kHeight - kBottom + 16, "middle", number(x));
    for (double y = std::ceil(axes.y.low / step_y) * step_y; y <= axes.y.high; y += step_y) {
        svg += line_element(kLeft, axes.to_y(y), kWidth - kRight, axes.to_y(y), "#e6eaef");
        // Repeated addition may leave a tiny remainder in place of zero.
        const double shown = std::fabs(y) < step_y * 1e-9 ? 0.0 : y;
        svg += text_element(kLeft - 6, axes.to_y(y) + 4, "end", number(shown));
    }
    return svg +
           line_element(kLeft, kHeight - kBottom, kWidth - kRight, kHeight - kBottom, "#8894a3");
}

}  // namespace

std::string svg_chart(const std::string& title, const std::string& x_label,
                      const std::vector<Series>& series) {
    std::vector<Points> lines;
    for (const Series& one : series) lines.push_back(thin_out(one.points));
    const Axes axes = fit_axes(lines);
    std::string svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + pixel(kWidth) +
                      "\" height=\"" + pixel(kHeight) + "\" viewBox=\"0 0 " + pixel(kWidth) + " " +
                      pixel(kHeight) + "\" font-family=\"sans-serif\" font-size=\"11\">";
    svg += "<g font-size=\"13\" font-weight=\"bold\">" + text_element(kLeft, 16, "start", title) +
           "</g>" + grid(axes);
    svg += text_element((kLeft + kWidth - kRight) / 2, kHeight - 6, "middle", x_label);
    for (size_t i = 0; i < lines.size(); ++i) {
        const char* color = kColors[i % std::size(kColors)];
        svg += "<polyline fill=\"none\" stroke-width=\"1.6\" stroke=\"" + std::string(color) +
               "\" points=\"";
        for (const auto& [x, y] : lines[i])
            svg += pixel(axes.to_x(x)) + "," + pixel(axes.to_y(y)) + " ";
        svg += "\"/>";
        if (lines.size() > 1) {
            const double y = kTop + 6 + 14.0 * static_cast<double>(i);
            svg += line_element(kWidth - 120, y, kWidth - 104, y, color);
            svg += text_element(kWidth - 99, y + 4, "start", series[i].name);
        }
    }
    return svg + "</svg>";
}

}  // namespace vila::tools
