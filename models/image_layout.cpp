#include "models/image_layout.h"

#include <cmath>

#include "tensor/check.h"

namespace vila::models {

TileGrid ImageLayout::grid(int64_t height, int64_t width) const {
    if (!depends_on_size()) return {};
    VILA_CHECK(height > 0 && width > 0, "[image_layout] an image of ", height, " x ", width,
               " pixels: expected at least one pixel");
    const double aspect = static_cast<double>(width) / static_cast<double>(height);
    TileGrid best;
    double smallest = INFINITY;  // difference of aspect ratios
    for (int64_t tiles = 1; tiles <= max_tiles; ++tiles) {
        for (int64_t columns = 1; columns <= tiles; ++columns) {
            if (tiles % columns != 0) continue;
            const int64_t rows = tiles / columns;
            const double difference =
                std::abs(aspect - static_cast<double>(columns) / static_cast<double>(rows));
            const bool fills = 2 * height * width > tiles * tile_side * tile_side;
            if (difference > smallest || (difference == smallest && !fills)) continue;
            smallest = difference;
            best = {rows, columns};
        }
    }
    return best;
}

int64_t ImageLayout::image_tokens(int64_t height, int64_t width) const {
    return tokens_of_tiles(grid(height, width).tiles());
}

int64_t ImageLayout::tiles_of_features(int64_t rows) const {
    VILA_CHECK(tile_features > 0 && rows % tile_features == 0, "[projector] ", rows,
               " feature rows: expected a multiple of ", tile_features);
    return rows / tile_features;
}

}  // namespace vila::models
