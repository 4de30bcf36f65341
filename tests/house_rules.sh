#!/bin/bash
# Style rules that a script can check: no unfinished work, a README in each folder, the sizes of
# files and comment lines.
set -u
export LC_ALL=C.UTF-8  # columns are characters, not bytes
cd "$(dirname "$0")/.." || exit 1
bad=0

complain() {
    echo "$1"
    bad=1
}

if git grep -nE '\b(TODO|FIXME|XXX)\b' -- '*.h' '*.cpp' '*.cu' '*.cuh' '*.sh' ':!tests/house_rules.sh'; then
    complain "unfinished work is not merged"
fi
# One value type and one parser: tensor/json.h.
if git grep -nE 'nlohmann::|[Jj]son::parse\(' -- '*.h' '*.cpp' ':!tests' ':!tensor/json*'; then
    complain "JSON is read by parse_json() and kept in vila::Json (tensor/json.h)"
fi
# print_text() notices a full disk and a reader that has left.
if git grep -nE 'std::(printf|puts|putchar)\(|std::c(out|in)\b|, stdout\)' -- 'tools/*.cpp' 'tools/*.h' \
    ':!tools/base/output.cpp'; then
    complain "results are printed by print_text(), and text is read by LineReader (tools/base/)"
fi
if git grep -nE '^\s*using namespace' -- '*.h'; then complain "no using namespace in a header"; fi
# Precompiled headers are exempt: no file includes them.
for header in $(git ls-files '*.h' '*.cuh' ':!*/pch/*'); do
    grep -q '^#pragma once' "$header" || complain "$header lacks #pragma once"
done
# Every folder has a README, and so has every subfolder of data/ and tools/.
rooms=$(git ls-files 'data/*/*' 'tools/*/*' | cut -d/ -f1-2 | sort -u | grep -vE '^(data|tools)/(recipes|pch)$')
for folder in tensor autograd cuda nn dist models data tools tests $rooms; do
    [ -f "$folder/README.md" ] || complain "$folder/ has no README.md"
done
while read -r lines file; do
    [ "$lines" -le 600 ] || complain "$file has $lines lines: above 600 there is a second concept"
done < <(git ls-files '*.h' '*.cpp' '*.cu' '*.cuh' | xargs wc -l | sed '/ total$/d')
# clang-format wraps code and leaves comments as they are. Raw strings, such as the text of a file that
# a test writes, may be as long as that text; only comments are looked at here.
if git grep -nE '^ *// ?.*$' -- '*.h' '*.cpp' '*.cu' '*.cuh' | grep -E '^[^:]*:[0-9]+:.{101,}$'; then
    complain "comment lines have at most 100 columns"
fi
exit $bad
