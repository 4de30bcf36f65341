#!/bin/bash
# Shows that the emulated tests detect mistakes in kernels (mutation testing). Applies each defect of
# tests/cuda/emulation/defects.txt to a copy of its file, compiles the copy, links it with the rest and
# runs the tests. Fails when more than one defect stays undetected.
#   tests/cuda/defects.sh [build-folder [pattern of the defects to try]]
set -eu
cd "$(dirname "$0")/../.."
root=$PWD
build=${1:-build}
wanted=${2:-.}
ninja -C "$build" tests/test_cuda_emulated >/dev/null
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/cuda"
cd "$build"
objects=tests/cuda/emulation/libcuda_emulated.a.p
link=$(ninja -t commands tests/test_cuda_emulated | tail -n 1 | sed 's/ -o tests\/test_cuda_emulated / /')

# Compiles one kernel file; the include path has the changed file before the original.
compile() {  # stem
    local object=$objects/meson-generated_.._$1_emulated.cpp.o command
    command=$(ninja -t commands "$object" | tail -n 1)
    eval "${command/ -I/ -I$work -I}" -O1 -w -o "$work/$1.o" -MF "$work/$1.d"
}

tried=0 seen=0
while IFS='|' read -r what stems file tests change; do
    what=${what% } file=${file// /} tests=${tests// /}
    rm -f "$work"/*.o "$work"/cuda/*
    perl -0pe "$change" "$root/cuda/$file" >"$work/cuda/$file"
    if cmp -s "$root/cuda/$file" "$work/cuda/$file"; then
        echo "FAILED: the substitution for '$what' finds nothing in cuda/$file"
        exit 1
    fi
    for stem in $stems; do compile "$stem" 2>"$work/errors" || { cat "$work/errors"; exit 1; }; done
    eval "${link/ -Wl,/ $work/*.o -Wl,}" -o "$work/test"
    tried=$((tried + 1))
    for filter in "$tests" '*'; do
        code=0
        timeout 900 "$work/test" --gtest_fail_fast --gtest_filter="$filter" >"$work/log" 2>&1 || code=$?
        [ $code -ne 0 ] || continue
        by=$(grep -oE '^\[  FAILED  \] [A-Za-z/_.0-9]+' "$work/log" | head -n 1 | cut -c14-)
        # A signal ends the program before it reports a failure: name the test that was running.
        [ $code -lt 128 ] || by="ended by signal $((code - 128)) in $(grep -F '[ RUN ' "$work/log" | tail -n 1 | cut -c14-)"
        [ -n "$by" ] || { echo "FAILED: no test names '$what'"; tail -n 5 "$work/log"; exit 1; }
        seen=$((seen + 1))
        echo "seen      $what ($by)"
        continue 2
    done
    echo "NOT SEEN  $what"
done < <(grep -v '^#' "$root/tests/cuda/emulation/defects.txt" | grep -E -- "$wanted")
echo "$seen of $tried defects were seen"
[ "$seen" -ge $((tried - 1)) ]
