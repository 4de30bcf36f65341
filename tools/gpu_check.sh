#!/bin/bash
# Checks the CUDA code on a machine with an NVIDIA GPU, in about 10 minutes, and prints one table. Needs
# neither network nor nvcc once the build folder exists. The table gives the reason of each skipped part.
#   tools/gpu_check.sh [part...]      parts: machine tests sanitizer bench demo torch (default: all)
#   VILA_BUILD=build                  the build folder
# Exits 1 if a part failed, 0 if parts were only skipped.
set -u
cd "$(dirname "$0")/.." || exit 1
build=${VILA_BUILD:-build}
binary=$build/tools/vila
tests=$build/tests/test_cuda_gpu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
table=$work/table

row() { printf '%-12s %-9s %s\n' "$1" "$2" "$3" >>"$table"; }
skip() { row "$1" skipped "$2"; }
fail() {  # part reason log
    row "$1" FAILED "$2"
    failed=1
    [ -s "${3:-}" ] && { echo "-- $1"; tail -n 20 "$3"; }
}

# Prints the reason why this machine cannot compute on a GPU, or nothing.
why_not() {
    [ -x "$binary" ] || { echo "$binary does not exist: build first, or set VILA_BUILD"; return; }
    # The message of the program, which opens the device before the model.
    "$binary" generate --model "$work" --prompt x --device cuda 2>&1 </dev/null |
        grep -E -- '--device cu(da|pu)' | sed 's/^vila generate: //' | head -n 1
}

machine_part() {
    row machine ok "$(uname -m), $(nproc) cores, $(date -u +%Y-%m-%dT%H:%MZ)"
    if command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1; then
        while read -r line; do row machine ok "$line"; done < <(nvidia-smi \
            --query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit --format=csv,noheader)
    else
        row machine ok "nvidia-smi finds no GPU"
    fi
}

tests_part() {
    [ -x "$tests" ] || { skip tests "$tests does not exist: building it needs nvcc"; return; }
    [ -z "$no_gpu" ] || { skip tests "$no_gpu"; return; }
    local start=$SECONDS
    if timeout 180 "$tests" >"$work/tests" 2>&1 </dev/null; then
        row tests ok "$(grep -oE 'PASSED  \] [0-9]+' "$work/tests" | grep -oE '[0-9]+$') passed in $((SECONDS - start)) s"
    else
        fail tests "$(grep -c '^\[  FAILED  \].*(' "$work/tests") failed; see the end of its log above" "$work/tests"
    fi
}

# Runs the operators under each tool of compute-sanitizer, with few cases because the tools are slow.
sanitizer_part() {
    local sanitizer tool
    sanitizer=$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)
    [ -x "$sanitizer" ] || { skip sanitizer "compute-sanitizer is not installed"; return; }
    [ -x "$tests" ] || { skip sanitizer "$tests does not exist: building it needs nvcc"; return; }
    [ -z "$no_gpu" ] || { skip sanitizer "$no_gpu"; return; }
    for tool in memcheck racecheck initcheck synccheck; do
        local start=$SECONDS
        timeout 45 "$sanitizer" --tool "$tool" --error-exitcode 9 "$tests" --gtest_filter='Op*-*SumsOverChunks:*DoNotDependOnEachOther*' \
            >"$work/$tool" 2>&1 </dev/null
        case $? in
            0) row sanitizer ok "$tool: no errors, $((SECONDS - start)) s" ;;
            124) row sanitizer ok "$tool: no errors before the limit of 45 s ($(grep -c '       OK' "$work/$tool") tests)" ;;
            *) fail sanitizer "$tool; see the end of its log above" "$work/$tool" ;;
        esac
        grep -q 'ERROR SUMMARY: [1-9]' "$work/$tool" && fail sanitizer "$tool found errors" "$work/$tool"
    done
}

# Compares each kernel with the rate of a copy or of one large product, measured in the same process.
bench_part() {
    [ -z "$no_gpu" ] || { skip bench "$no_gpu"; return; }
    local what
    for what in gemm attention norms train-step decode; do
        if timeout 90 "$binary" bench $what --device cuda --repetitions 5 >"$work/bench" 2>&1 </dev/null; then
            while read -r line; do row bench ok "$what: $line"; done < <(sed 1d "$work/bench")
        else
            fail bench "$what; see the end of its log above" "$work/bench"
        fi
    done
}

demo_part() {
    [ -z "$no_gpu" ] || { skip demo "$no_gpu"; return; }
    local start=$SECONDS
    if timeout 240 "$binary" demo --out "$work/demo" --device cuda >"$work/demo.log" 2>&1 </dev/null; then
        row demo ok "$((SECONDS - start)) s on the GPU"
        while read -r line; do row demo "" "$line"; done < <(grep -vE '^$' "$work/demo.log" | grep -E '%|0\.[0-9]' | tail -n 12)
    else
        fail demo "see the end of its log above" "$work/demo.log"
    fi
}

# Measures PyTorch on the same GPU for comparison: a copy, bf16 products, attention.
torch_part() {
    python3 -c 'import torch' 2>/dev/null || { skip torch "python3 has no torch"; return; }
    python3 -c 'import torch; exit(not torch.cuda.is_available())' 2>/dev/null ||
        { skip torch "torch sees no GPU"; return; }
    timeout 120 python3 tools/gpu_check_torch.py >"$work/torch" 2>&1 || { fail torch "" "$work/torch"; return; }
    while read -r line; do row torch ok "$line"; done <"$work/torch"
}

parts=${*:-machine tests sanitizer bench demo torch}
for part in $parts; do
    declare -F "${part}_part" >/dev/null || { echo "unknown part '$part': expected machine, tests, sanitizer, bench, demo or torch"; exit 2; }
done
no_gpu=$(why_not)
: >"$table"
for part in $parts; do "${part}_part"; done
cat "$table"
echo "$SECONDS s"
exit $failed
