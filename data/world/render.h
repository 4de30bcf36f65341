#pragma once

// Pixels of the miniature world.

#include <string>

#include "data/image/image.h"
#include "data/world/scene.h"

namespace vila::data {

inline constexpr int kSceneSide = 32;  // pixels; a cell of the 2 x 2 grid is 16 x 16
inline constexpr int kWordSide = 64;   // pixels of a written word

// Draws the scene on a dark background with jittered places and colours and pixel noise.
Image render_scene(const Scene& scene, WorldRandom& random);

// Draws up to three letters in a 5 x 7 face at a random place; letters are of kWordLetters.
inline constexpr std::string_view kWordLetters = "ACEFHIKLNOPRSTUY";
Image render_word(const std::string& word, WorldRandom& random);

}  // namespace vila::data
