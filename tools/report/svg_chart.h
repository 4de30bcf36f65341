#pragma once

// Line charts as SVG text.

#include <string>
#include <utility>
#include <vector>

namespace vila::tools {

struct Series {
    std::string name;
    std::vector<std::pair<double, double>>
        points;  // (x, y), x ascending; points with non-finite y are left out
};

// A chart with axes, round ticks, a title and, for more than one series, a legend. Averages long
// series down to about one point per pixel, so that the page stays small.
std::string svg_chart(const std::string& title, const std::string& x_label,
                      const std::vector<Series>& series);

}  // namespace vila::tools
