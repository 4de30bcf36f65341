#include "data/world/scene.h"

#include <algorithm>

#include "tensor/check.h"

namespace vila::data {

Scene make_scene(int count, WorldRandom& random) {
    VILA_CHECK(count >= 1 && count <= 4, "[world] a scene of ", count, " objects: expected 1 to 4");
    std::vector<int> cells = random.sample(count, static_cast<int>(kPositions.size()));
    std::sort(cells.begin(), cells.end());
    Scene scene;
    for (const int cell : cells) {
        Object object;
        object.cell = cell;
        object.shape = random.below(static_cast<int>(kShapes.size()));
        object.color = random.below(static_cast<int>(kColors.size()));
        object.size = random.below(static_cast<int>(kSizes.size()));
        scene.objects.push_back(object);
    }
    return scene;
}

int value_of(const Object& object, Attribute attribute) {
    switch (attribute) {
        case Attribute::Color:
            return object.color;
        case Attribute::Shape:
            return object.shape;
        case Attribute::Size:
            return object.size;
        case Attribute::Position:
            return object.cell;
    }
    VILA_ASSERT(false);
}

std::string word_of(const Object& object, Attribute attribute) {
    const auto value = static_cast<size_t>(value_of(object, attribute));
    switch (attribute) {
        case Attribute::Color:
            return std::string(kColors[value]);
        case Attribute::Shape:
            return std::string(kShapes[value]);
        case Attribute::Size:
            return std::string(kSizes[value]);
        case Attribute::Position:
            return std::string(kPositions[value]);
    }
    VILA_ASSERT(false);
}

std::vector<Object> unique_objects(const Scene& scene, Attribute attribute) {
    std::vector<Object> unique;
    for (const Object& object : scene.objects) {
        const auto shared =
            std::count_if(scene.objects.begin(), scene.objects.end(), [&](const Object& other) {
                return value_of(other, attribute) == value_of(object, attribute);
            });
        if (shared == 1) unique.push_back(object);
    }
    return unique;
}

}  // namespace vila::data
