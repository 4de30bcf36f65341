#!/bin/bash
# Checks every include line against the list of allowed includes between folders, and between the
# subfolders of data/ and tools/. Also checks that no headers include each other in a circle.
set -u
cd "$(dirname "$0")/.."

# Each entry is a folder or a file; a folder stands for everything below it.
declare -A may_include=(
    [tensor]="tensor"
    [autograd]="autograd tensor"
    [nn]="nn autograd tensor"
    [cuda]="cuda tensor"
    [models]="models nn autograd tensor"
    [dist]="dist cuda tensor nn/parameter.h nn/block_hook.h"
    [data]="data/sample.h tensor"
    [data/image]="data/image tensor"
    [data/text]="data/text data/sample.h tensor"
    [data/text/jinja]="data/text/jinja data/text/unicode.h data/text/letter_case.h tensor"
    [data/records]="data/records data/text data/sample.h tensor"
    [data/loader]="data/loader data/records data/sample.h tensor"
    [data/world]="data/world data/image tensor"
    [tools]="tools/commands.h tools/base models data dist cuda nn autograd tensor"
    [tools/base]="tools/base models data dist cuda nn autograd tensor"
    [tools/run]="tools/run tools/commands.h tools/base models data dist cuda nn autograd tensor"
    [tools/train]="tools/train tools/commands.h tools/base models data dist cuda nn autograd tensor"
    [tools/eval]="tools/eval tools/run tools/commands.h tools/base models data dist cuda nn autograd tensor"
    [tools/report]="tools/report tools/train tools/run tools/commands.h tools/base models data dist cuda nn autograd tensor"
    [tools/bench]="tools/bench tools/run tools/commands.h tools/base models data dist cuda nn autograd tensor"
    [tools/demo]="tools/demo tools/report tools/eval tools/commands.h tools/base models data dist cuda nn autograd tensor"
    [tools/convert]="tools/convert tools/train tools/run tools/commands.h tools/base models data dist cuda nn autograd tensor"
    [tests]="tests tools models data dist cuda nn autograd tensor"
)
bad=0

complain() {
    echo "$1"
    bad=1
}

# Prints the innermost folder of the list that contains a file.
room_of() {
    local folder=${1%/*}
    while [ -z "${may_include[$folder]+listed}" ] && [[ $folder == */* ]]; do folder=${folder%/*}; done
    echo "$folder"
}

while IFS=: read -r file _ line; do
    room=$(room_of "$file")
    if [ -z "${may_include[$room]+listed}" ]; then
        complain "$file: $room/ is not in the list of tests/include_arrows.sh"
        continue
    fi
    target=${line#*\"}
    target=${target%%\"*}
    allowed=0
    for arrow in ${may_include[$room]}; do
        [[ $target == "$arrow" || $target == "$arrow"/* ]] && allowed=1
    done
    [ $allowed -eq 1 ] || complain "$file includes \"$target\": $room/ may include only: ${may_include[$room]}"
    [ -f "$target" ] || complain "$file includes \"$target\", which is not a path from the root"
done < <(git grep -nE '^#include "' -- '*.h' '*.cpp' '*.cu' '*.cuh')

# A subfolder that is missing from the list would be checked with the entry of its parent.
for folder in data tools; do
    while read -r room; do
        [ -n "${may_include[$room]+listed}" ] || complain "$room/ is not in the list of tests/include_arrows.sh"
    done < <(git ls-files "$folder/*.h" "$folder/*.cpp" | grep -v '/pch/' | sed 's#/[^/]*$##' | sort -u)
done

# tensor/ includes the standard library and OpenMP. Only json.h and json_fwd.h include the JSON library.
if git grep -nE '^#include <(nlohmann|stb|CLI|toml|jpeglib|webp|gtest|utf8proc)' -- tensor \
    ':!tensor/json.h' ':!tensor/json_fwd.h'; then
    complain "tensor/ may include only the standard library and OpenMP"
fi

# tsort names the members of every cycle on standard error.
cycles=$(git grep -oE '^#include "[^"]+\.(h|cuh)"' -- '*.h' '*.cuh' |
    sed -E 's/^([^:]+):#include "([^"]+)"/\1 \2/' | tsort 2>&1 >/dev/null)
[ -z "$cycles" ] || complain "headers include each other in a circle:
$cycles"
exit $bad
