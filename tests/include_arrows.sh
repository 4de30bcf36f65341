#!/bin/bash
# Holds the include lines against the house plan: who may include whom, and no cycle among headers.
set -u
cd "$(dirname "$0")/.."

declare -A may_include=(
    [tensor]="tensor"
    [autograd]="autograd tensor"
    [nn]="nn autograd tensor"
    [cuda]="cuda tensor"
    [data]="data tensor"
    [models]="models nn autograd tensor"
    [dist]="dist cuda tensor nn/parameter.h nn/block_hook.h"
    [tools]="tools models data dist cuda nn autograd tensor"
    [tests]="tests tools models data dist cuda nn autograd tensor"
)
bad=0

while IFS=: read -r file _ line; do
    folder=${file%%/*}
    target=$(sed -nE 's/^#include "([^"]+)".*/\1/p' <<<"$line")
    allowed=0
    for arrow in ${may_include[$folder]}; do
        [[ $target == "$arrow" || $target == "$arrow"/* ]] && allowed=1
    done
    if [ $allowed -eq 0 ]; then
        echo "$file includes \"$target\": $folder/ may include only: ${may_include[$folder]}"
        bad=1
    fi
    if [ ! -f "$target" ]; then
        echo "$file includes \"$target\", which is not a path from the root"
        bad=1
    fi
done < <(git grep -nE '^#include "' -- '*.h' '*.cpp' '*.cu' '*.cuh')

# tensor/ knows the standard library and OpenMP only.
if git grep -nE '^#include <(nlohmann|stb|CLI|toml|jpeglib|webp|gtest|utf8proc)' -- tensor; then
    echo "tensor/ may include only the standard library and OpenMP"
    bad=1
fi

# tsort names the members of every cycle on standard error.
cycles=$(git grep -oE '^#include "[^"]+\.(h|cuh)"' -- '*.h' '*.cuh' |
    sed -E 's/^([^:]+):#include "([^"]+)"/\1 \2/' | tsort 2>&1 >/dev/null)
if [ -n "$cycles" ]; then
    echo "headers include each other in a circle:"
    echo "$cycles"
    bad=1
fi
exit $bad
