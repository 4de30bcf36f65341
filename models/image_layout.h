#pragma once

// ImageLayout: the tiles and the number of tokens of an image. An image is cut into one or more
// tiles, squares that the vision tower and the projector process one by one. The number of tiles
// may depend on the size of the image. Only this code computes the number of tokens of an image;
// after that the number travels with the image (HostImage, data::LoadedImage, data::Sample).

#include <cstdint>

namespace vila::models {

// The tiles of an image, row by row. Several tiles are followed by one more, the thumbnail, which
// shows the whole image.
struct TileGrid {
    int64_t rows = 1, columns = 1;

    int64_t tiles() const { return rows * columns > 1 ? rows * columns + 1 : 1; }
    bool operator==(const TileGrid&) const = default;
};

// VilaConfig::image_layout() returns the layout of a model.
struct ImageLayout {
    int64_t tile_side = 0;      // pixels
    int64_t tile_features = 0;  // rows of a tile that the projector reads; 0 without a vision tower
    int64_t tile_tokens = 1;    // rows of a tile that the language model reads; 1 without a vision
                                // tower, where a placeholder takes one position
    int64_t max_tiles = 1;      // the most tiles of a grid, without its thumbnail

    // Returns true if the number of tokens of an image depends on its size.
    bool depends_on_size() const { return max_tiles > 1; }
    // Returns the grid whose aspect ratio is closest to that of an image of height x width pixels,
    // as NVILA does (Liu et al. 2024, NVILA: Efficient Frontier Visual Language Models). Among
    // equally close grids it is the largest with less than twice the pixels of the image, or the
    // smallest if there is none. The size is ignored unless depends_on_size().
    TileGrid grid(int64_t height, int64_t width) const;
    // Returns the number of tokens of an image of height x width pixels.
    int64_t image_tokens(int64_t height, int64_t width) const;
    // Returns the number of tokens of an image of `tiles` tiles.
    int64_t tokens_of_tiles(int64_t tiles) const { return tiles * tile_tokens; }
    // Returns the number of tiles that have `rows` feature rows together. Throws unless `rows` is a
    // multiple of tile_features.
    int64_t tiles_of_features(int64_t rows) const;
    // Returns the most tiles of an image, with the thumbnail.
    int64_t most_tiles() const { return TileGrid{1, max_tiles}.tiles(); }
};

}  // namespace vila::models
