#!/bin/bash
# Checks the two walks of README.md from main() to a kernel. Each hop is a numbered line
#     N. `FILE`, `FUNCTION`: ...
# and must name a file that exists and a function whose name occurs in that file. A walk has at most
# 10 files, and each file must lead to the next one, by one of two rules:
#   - The file, or the header of its stem, includes the header of the next file, directly or through
#     one other header.
#   - The next file implements one of the interfaces below, and both files reach that interface in the
#     same way: the first file calls the next one through it.
#   tests/walks.sh [README]
set -u
readme=$(realpath "${1:-$(dirname "$0")/../README.md}")
cd "$(dirname "$0")/.." || exit 1
# An interface, and the files that implement it.
declare -A implementers=(
    [tools/commands.h]="tools/*/cmd_*.cpp"
    [tools/train/stage.h]="tools/train/*_stage.cpp"
    [autograd/ops.h]="autograd/*.cpp"
    [tensor/kernels.h]="tensor/cpu/*.cpp"
)
bad=0

complain() {
    echo "README.md, walk $walk: $1"
    bad=1
}

includes_of() { sed -n 's/^#include "\(.*\)"/\1/p' "$@" 2>/dev/null; }
header_of() { echo "${1%.*}.h"; }

# The headers that a file reaches: those it or the header of its stem includes, and theirs.
reached_from() {  # file
    local header
    for header in $(includes_of "$1" "$(header_of "$1")"); do
        echo "$header"
        includes_of "$header"
    done
    echo "$(header_of "$1")"
}

leads_to() {  # file next
    local from to interface
    from=$(reached_from "$1")
    if [ -f "$(header_of "$2")" ]; then
        grep -qxF "$(header_of "$2")" <<<"$from" && return
    fi
    to=$(reached_from "$2")
    for interface in "${!implementers[@]}"; do
        # shellcheck disable=SC2053
        [[ $2 == ${implementers[$interface]} ]] || continue
        grep -qxF "$interface" <<<"$from" && grep -qxF "$interface" <<<"$to" && return
    done
    return 1
}

check_walk() {  # name
    local previous='' file function count=0
    walk=$1
    while read -r file function; do
        count=$((count + 1))
        if [ ! -f "$file" ]; then
            complain "$file does not exist"
            continue
        fi
        grep -qwF -- "$function" "$file" || complain "'$function' does not occur in $file"
        [ -z "$previous" ] || leads_to "$previous" "$file" || complain "$previous does not lead to $file"
        previous=$file
    done < <(sed -n "/^### $1/,/^##* [^$]/{/^### $1/!{/^#/!p}}" "$readme" |
        sed -nE 's/^[0-9]+\. `([^`]+)`, `([^`]+)`.*/\1 \2/p')
    [ $count -ge 2 ] || complain "it has no hops"
    [ $count -le 10 ] || complain "it has $count files; at most 10 are allowed"
    [ -z "$previous" ] || [[ $previous == tensor/cpu/* ]] || complain "it does not end at a kernel"
}

check_walk Training
check_walk Answering
exit $bad
