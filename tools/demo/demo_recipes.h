#pragma once

// The recipes of tools/recipes/demo, embedded in the binary. tools/embed_recipes.sh generates the
// definition of demo_recipes().

#include <string>
#include <vector>

namespace vila::tools {

struct DemoRecipe {
    std::string name;  // "lm-1", "clip", ...
    std::string text;  // TOML
};

// In the order of training.
std::vector<DemoRecipe> demo_recipes();

}  // namespace vila::tools
