#pragma once

// The keys of a recipe. recipe_keys.cpp declares each of them once, with type, range and help.

#include <filesystem>

#include "tools/train/recipe.h"
#include "tools/train/recipe_fields.h"

namespace vila::tools {

// All keys except those of data.sources, bound to the members of `recipe`, which must outlive the
// list. Relative paths are relative to `base`.
FieldList recipe_keys(Recipe& recipe, const std::filesystem::path& base);
// The keys of one [[data.sources]] table.
FieldList source_keys(SourceRecipe& source, const std::filesystem::path& base);

}  // namespace vila::tools
