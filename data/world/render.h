#pragma once

// Renders scenes and written words of the miniature world.

#include <string>

#include "data/image/image.h"
#include "data/world/scene.h"

namespace vila::data {

inline constexpr int kSceneSide = 32;  // pixels; a cell of the 2 x 2 grid is 16 x 16
inline constexpr int kWordSide = 64;   // pixels; the image of a written word

// Draws the scene on a dark background, with random shifts of places and colors, and pixel noise.
Image render_scene(const Scene& scene, WorldRandom& random);

// Letters that can be drawn.
inline constexpr std::string_view kWordLetters = "ACEFHIKLNOPRSTUY";
// Draws one to three of these letters in a 5 x 7 font at a random place. Throws on other letters.
Image render_word(const std::string& word, WorldRandom& random);

}  // namespace vila::data
