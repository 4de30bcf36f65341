#!/bin/bash
# What a machine with a GPU can show, without a network and in minutes:
#   tools/gpu_check.sh [part...]      parts: tests sanitizer program (all of them by default)
#   tests      every operator and the joined model on the GPU, against references and the CPU
#   sanitizer  the operators again under compute-sanitizer: memcheck, racecheck, initcheck, synccheck
#   program    `vila generate` of a small trained model on the CPU and on the GPU
# Prints one line a part and exits 1 if any failed. Nothing is downloaded; `build/` is used, or made
# with nvcc.
set -u
cd "$(dirname "$0")/.."
parts=${*:-tests sanitizer program}
command -v nvidia-smi >/dev/null && nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
[ -f build/build.ninja ] || meson setup build -Dcuda=enabled >/dev/null || exit 1
ninja -C build tools/vila tests/test_cuda_gpu >/dev/null || exit 1
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
failed=0

report() {  # part exit_code what
    printf '%-28s %-6s %s\n' "$1" "$([ "$2" -eq 0 ] && echo ok || echo FAILED)" "$3"
    [ "$2" -eq 0 ] || { failed=1; tail -n 20 "$logs/out"; }
}

if ! build/tests/test_cuda_gpu --gtest_filter='CudaGpu.*' >"$logs/out" 2>&1 || grep -q SKIPPED "$logs/out"; then
    grep -m 1 -- '--device cuda' "$logs/out"
    exit 77
fi

tests_part() {
    build/tests/test_cuda_gpu >"$logs/out" 2>&1
    report tests $? "$(grep -oE '^\[  PASSED  \] [0-9]+ tests' "$logs/out" | grep -oE '[0-9]+ tests')"
}

sanitizer_part() {
    local tool
    if ! command -v compute-sanitizer >/dev/null; then
        echo "sanitizer: compute-sanitizer is not installed"
        return
    fi
    for tool in memcheck racecheck initcheck synccheck; do
        compute-sanitizer --tool $tool --error-exitcode 9 build/tests/test_cuda_gpu \
            --gtest_filter='Op*-*SumsOverChunks:*DoNotDependOnEachOther*' >"$logs/out" 2>&1
        report "sanitizer $tool" $? "$(grep -oE 'ERROR SUMMARY: .*|RACECHECK SUMMARY: .*' "$logs/out" | tail -n 1)"
    done
}

program_part() {
    local folder=$logs/program binary=$PWD/build/tools/vila
    tests/tiny_training_data.sh "$folder"
    (cd "$folder" && for stage in lm align sft; do "$binary" train $stage.toml --out $stage || exit 1; done) \
        >"$logs/out" 2>&1 || { report program 1 "training on the CPU"; return; }
    for device in cpu cuda; do
        "$binary" generate --model "$folder/sft/model" --image "$folder/images/red.bmp" --device $device \
            --prompt "what colour is it?" --max-tokens 16 >"$logs/$device" 2>>"$logs/out" || break
    done
    cmp -s "$logs/cpu" "$logs/cuda"
    report program $? "the GPU's answer is the CPU's"
}

for part in $parts; do "${part}_part"; done
exit $failed
