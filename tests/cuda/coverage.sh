#!/bin/bash
# Reports which lines of the CUDA kernels the emulated tests run, and how many threads ran each kernel.
#   tests/cuda/coverage.sh [build-folder]
# Fails when a kernel ran with no element type, or when less than 95 % of the lines of all kernel files ran.
set -eu
cd "$(dirname "$0")/../.."
build=${1:-build}
ninja -C "$build" tests/cuda_coverage
objects=$build/tests/cuda/emulation/libcuda_counted.a.p
find "$objects" -name '*.gcda' -delete
"$build/tests/cuda_coverage" --gtest_brief=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$PWD
# One folder per kernel file, because a header is part of many of them. gcov looks for sources relative
# to the folder of the compilation, which is one below the root.
ln -s "$root/cuda" "$work/cuda"
for notes in "$root/$objects"/*_emulated.cpp.gcno; do
    mkdir "$work/$(basename "$notes")"
    (cd "$work/$(basename "$notes")" && gcov -m -b -p "$notes" >/dev/null 2>&1)
done

# Lines of .gcov files are "count:line:text", with "#####" for lines that did not run; "*" marks blocks
# that did not run. A line of a header counts as run if it ran in any file.
find "$work" -name '*#cuda#*.gcov' | xargs awk -F: -v lines="$work/lines" '
    FNR == 1 { file = FILENAME; sub(/.*#cuda#/, "", file); sub(/\.gcov$/, "", file) }
    /^function / && /_kernel/ {
        name = $0; calls = $0
        sub(/^function /, "", name); sub(/ called [0-9].*/, "", name)
        sub(/.* called /, "", calls); sub(/ .*/, "", calls)
        gsub(/vila::|cuda::|\(anonymous namespace\)::/, "", name); sub(/^void /, "", name)
        sub(/\(.*/, "", name)
        # empty_kernel is never launched: the device only asks the driver for its attributes.
        if (name !~ /_kernel(<|$)/ || name ~ /empty_kernel/) next
        ran[name] += calls
        gsub(/(double|float|BFloat16|Float16|long|int|unsigned char)(, )?/, "", name)
        of_any_type[name] += calls
        next
    }
    NF >= 3 && $2 + 0 > 0 {
        count = $1; gsub(/[ *]/, "", count)
        if (count == "-") next
        key = file SUBSEP $2 + 0
        known[key] = 1
        if (count ~ /^[0-9]/ && count + 0 > 0) covered[key] = 1
    }
    END {
        for (key in known) {
            split(key, at, SUBSEP)
            total[at[1]]++
            if (key in covered) done[at[1]]++
            else printf "%s:%d\n", at[1], at[2] > (lines ".missed")
        }
        for (file in total) printf "%s %d %d\n", file, done[file], total[file] > lines
        for (name in of_any_type) if (!of_any_type[name]) print name > (lines ".idle")
        for (name in ran) printf "%14d  %s\n", ran[name], name
    }' | sort -k2 >"$work/kernels"

echo "Threads that ran each kernel:"
cat "$work/kernels"
echo "Lines:"
sort "$work/lines" | awk '
    { printf "%6.1f %%  %4d of %4d  cuda/%s\n", 100 * $2 / $3, $2, $3, $1
      if ($1 ~ /\.cu$/) { done += $2; total += $3 } }
    END { printf "%6.1f %%  %4d of %4d  all kernel files\n", 100 * done / total, done, total
          exit 100 * done < 95 * total }' || failed=lines
if [ -s "$work/lines.missed" ]; then
    echo "Never run:"
    sort -t: -k1,1 -k2,2n "$work/lines.missed" | sed 's/^/    cuda\//'
fi
if [ -s "$work/lines.idle" ]; then
    echo "Kernels that ran with no element type:"
    cat "$work/lines.idle"
    failed="kernels that never ran"
fi
if [ -n "${failed:-}" ]; then
    echo "FAILED: $failed"
    exit 1
fi
