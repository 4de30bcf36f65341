#!/bin/bash
# What a machine with an NVIDIA GPU can prove, in about 10 minutes and one table; needs no network and
# no nvcc once the build folder is there, and says in the table why it left something out.
#   tools/gpu_check.sh [part...]      parts: machine tests sanitizer bench demo torch (all of them by default)
#   VILA_BUILD=build                  the build folder
# Exits 1 when a part failed; 0 where parts were only left out.
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
leave_out() { row "$1" "left out" "$2"; }
fail() {  # part reason log
    row "$1" FAILED "$2"
    failed=1
    [ -s "${3:-}" ] && { echo "-- $1"; tail -n 20 "$3"; }
}

# Why this machine cannot compute on a GPU, or nothing.
why_not() {
    [ -x "$binary" ] || { echo "$binary is not there: build first, or set VILA_BUILD"; return; }
    # The program's own words: it opens the device before it looks at the model.
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
    [ -x "$tests" ] || { leave_out tests "$tests is not there: it is built where nvcc is"; return; }
    [ -z "$no_gpu" ] || { leave_out tests "$no_gpu"; return; }
    local start=$SECONDS
    if timeout 180 "$tests" >"$work/tests" 2>&1 </dev/null; then
        row tests ok "$(grep -oE 'PASSED  \] [0-9]+' "$work/tests" | grep -oE '[0-9]+$') passed in $((SECONDS - start)) s"
    else
        fail tests "$(grep -c '^\[  FAILED  \].*(' "$work/tests") failed; the end of the log is above" "$work/tests"
    fi
}

# The operators under each tool of compute-sanitizer; cases are few because the tools are slow.
sanitizer_part() {
    local sanitizer tool
    sanitizer=$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)
    [ -x "$sanitizer" ] || { leave_out sanitizer "compute-sanitizer is not installed"; return; }
    [ -x "$tests" ] || { leave_out sanitizer "$tests is not there: it is built where nvcc is"; return; }
    [ -z "$no_gpu" ] || { leave_out sanitizer "$no_gpu"; return; }
    for tool in memcheck racecheck initcheck synccheck; do
        local start=$SECONDS
        timeout 45 "$sanitizer" --tool "$tool" --error-exitcode 9 "$tests" --gtest_filter='Op*-*SumsOverChunks:*DoNotDependOnEachOther*' \
            >"$work/$tool" 2>&1 </dev/null
        case $? in
            0) row sanitizer ok "$tool: clean, $((SECONDS - start)) s" ;;
            124) row sanitizer ok "$tool: clean as far as it came in 45 s ($(grep -c '       OK' "$work/$tool") tests)" ;;
            *) fail sanitizer "$tool; the end of its log is above" "$work/$tool" ;;
        esac
        grep -q 'ERROR SUMMARY: [1-9]' "$work/$tool" && fail sanitizer "$tool found errors" "$work/$tool"
    done
}

# Each kernel beside the rate of a copy and of one large product, measured in the same process.
bench_part() {
    [ -z "$no_gpu" ] || { leave_out bench "$no_gpu"; return; }
    local what
    for what in gemm attention norms train-step decode; do
        if timeout 90 "$binary" bench $what --device cuda --repetitions 5 >"$work/bench" 2>&1 </dev/null; then
            while read -r line; do row bench ok "$what: $line"; done < <(sed 1d "$work/bench")
        else
            fail bench "$what; the end of its log is above" "$work/bench"
        fi
    done
}

demo_part() {
    [ -z "$no_gpu" ] || { leave_out demo "$no_gpu"; return; }
    local start=$SECONDS
    if timeout 240 "$binary" demo --out "$work/demo" --device cuda >"$work/demo.log" 2>&1 </dev/null; then
        row demo ok "$((SECONDS - start)) s on the GPU"
        while read -r line; do row demo "" "$line"; done < <(grep -vE '^$' "$work/demo.log" | grep -E '%|0\.[0-9]' | tail -n 12)
    else
        fail demo "the end of its log is above" "$work/demo.log"
    fi
}

# What PyTorch does in the same minutes on the same GPU: copy, bf16 products, attention.
torch_part() {
    python3 -c 'import torch' 2>/dev/null || { leave_out torch "python3 has no torch"; return; }
    python3 -c 'import torch; exit(not torch.cuda.is_available())' 2>/dev/null ||
        { leave_out torch "torch sees no GPU"; return; }
    timeout 120 python3 tools/gpu_check_torch.py >"$work/torch" 2>&1 || { fail torch "" "$work/torch"; return; }
    while read -r line; do row torch ok "$line"; done <"$work/torch"
}

parts=${*:-machine tests sanitizer bench demo torch}
for part in $parts; do
    declare -F "${part}_part" >/dev/null || { echo "there is no part '$part': machine tests sanitizer bench demo torch"; exit 2; }
done
no_gpu=$(why_not)
: >"$table"
for part in $parts; do "${part}_part"; done
cat "$table"
echo "$SECONDS s"
exit $failed
