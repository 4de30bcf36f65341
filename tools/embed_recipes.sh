#!/bin/sh
# Writes a C++ source file that holds the text of recipe files, for the binary of vila demo.
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
