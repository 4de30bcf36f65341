#!/bin/bash
# Rules of the house that a script can check: unfinished work, README in each folder, file sizes.
set -u
cd "$(dirname "$0")/.."
bad=0

complain() {
    echo "$1"
    bad=1
}

if git grep -nE '\b(TODO|FIXME|XXX)\b' -- '*.h' '*.cpp' '*.cu' '*.cuh' '*.sh' ':!tests/house_rules.sh'; then
    complain "unfinished work is not merged"
fi
if git grep -nE '^\s*using namespace' -- '*.h'; then complain "no using namespace in a header"; fi
# Precompiled ones are nobody's to include.
for header in $(git ls-files '*.h' '*.cuh' ':!*/pch/*'); do
    grep -q '^#pragma once' "$header" || complain "$header lacks #pragma once"
done
for folder in tensor autograd cuda nn models data tools tests; do
    [ -f "$folder/README.md" ] || complain "$folder/ has no README.md"
done
while read -r lines file; do
    [ "$lines" -le 600 ] || complain "$file has $lines lines: above 600 there is a second concept"
done < <(git ls-files '*.h' '*.cpp' '*.cu' '*.cuh' | xargs wc -l | sed '/ total$/d')
exit $bad
