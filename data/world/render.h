#pragma once

// Pixels of the miniature world.

#include <cstdint>
#include <string>
#include <vector>

#include "data/world/scene.h"

namespace vila::data {

inline constexpr int kSceneSide = 32;  // pixels; a cell of the 2 x 2 grid is 16 x 16
inline constexpr int kWordSide = 64;   // pixels of a written word

// Square RGB image, rows from top to bottom, 3 bytes a pixel.
struct Picture {
    int side = 0;
    std::vector<uint8_t> pixels;
};

// Draws the scene on a dark background with jittered places and colours and pixel noise.
Picture render_scene(const Scene& scene, WorldRandom& random);

// Draws up to three letters in a 5 x 7 face at a random place; letters are of kWordLetters.
inline constexpr std::string_view kWordLetters = "ACEFHIKLNOPRSTUY";
Picture render_word(const std::string& word, WorldRandom& random);

}  // namespace vila::data
