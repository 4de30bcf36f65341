#pragma once

// The scenes of the miniature world: one to four colored shapes on a 2 x 2 grid.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/world/random.h"

namespace vila::data {

inline constexpr std::array<std::string_view, 6> kColors = {"red",    "green",  "blue",
                                                            "yellow", "purple", "white"};
inline constexpr std::array<std::string_view, 5> kShapes = {"circle", "square", "triangle", "cross",
                                                            "ring"};
inline constexpr std::array<std::string_view, 2> kSizes = {"small", "large"};
// In the order of the cells, row by row.
inline constexpr std::array<std::string_view, 4> kPositions = {"top left", "top right",
                                                               "bottom left", "bottom right"};
inline constexpr std::array<std::string_view, 4> kCounts = {"one", "two", "three", "four"};

enum class Attribute { Color, Shape, Size, Position };

// Values are indices into the arrays above; `cell` is an index into kPositions.
struct Object {
    int cell = 0;
    int shape = 0;
    int color = 0;
    int size = 0;

    bool operator==(const Object&) const = default;
};

// Objects in distinct cells, in the order of the cells.
struct Scene {
    std::vector<Object> objects;

    int count() const { return static_cast<int>(objects.size()); }
};

// Returns a scene of `count` (1 to 4) objects with uniformly drawn cells and attributes.
Scene make_scene(int count, WorldRandom& random);

// Returns the index of the object's value of an attribute.
int value_of(const Object& object, Attribute attribute);
// Returns the word or words of that value: "red", "circle", "small", "top left".
std::string word_of(const Object& object, Attribute attribute);

// Returns the objects whose value of `attribute` no other object of the scene has.
std::vector<Object> unique_objects(const Scene& scene, Attribute attribute);

}  // namespace vila::data
