#!/bin/sh
# Writes a C++ source with the text of recipe files, so that the binary can hand them out.
#   tools/embed_recipes.sh OUTPUT.cpp RECIPE.toml...
set -eu
output=$1
shift
{
    echo '#include "tools/demo/demo_recipes.h"'
    echo 'namespace vila::tools {'
    echo 'std::vector<DemoRecipe> demo_recipes() {'
    echo '    return {'
    for recipe in "$@"; do
        printf '{"%s", R"RECIPE(' "$(basename "$recipe" .toml)"
        cat "$recipe"
        echo ')RECIPE"},'
    done
    echo '    };'
    echo '}'
    echo '}  // namespace vila::tools'
} >"$output"
