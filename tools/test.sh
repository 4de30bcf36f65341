#!/bin/bash
# The whole proof on one machine: installs what is missing, builds, runs every test this machine can
# run, and ends with the line "N passed, N failed, N skipped". Exits 1 if anything failed.
#   tools/test.sh [tier...]     tiers: style unit mpi cli sanitizers aarch64 (all of them by default)
#   VILA_FUZZ_SECONDS=5         how long the tier sanitizers runs each fuzz target (60 by default)
set -u
cd "$(dirname "$0")/.."
tools/install_packages.sh tests || exit 1

tiers=${*:-style unit mpi cli sanitizers aarch64}
passed=0 failed=0 skipped=0
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

pass() { passed=$((passed + 1)); }
fail() { failed=$((failed + 1)); echo "FAILED: $1"; }
skip() { skipped=$((skipped + 1)); echo "SKIPPED: $1: $2"; }

# Sums one GoogleTest log; a program that died early counts as one more failure.
count_googletest() {  # name log exit_code
    local ok bad not_run
    ok=$(grep -oE '^\[  PASSED  \] [0-9]+' "$2" | grep -oE '[0-9]+$')
    bad=$(grep -oE '^\[  FAILED  \] [0-9]+ test' "$2" | grep -oE '[0-9]+')
    not_run=$(grep -oE '^\[  SKIPPED \] [0-9]+ test' "$2" | grep -oE '[0-9]+')
    passed=$((passed + ${ok:-0})) failed=$((failed + ${bad:-0})) skipped=$((skipped + ${not_run:-0}))
    if [ "$3" -ne 0 ] && [ -z "$bad" ]; then fail "$1 ended with exit code $3"; fi
    echo "$1: ${ok:-0} passed, ${bad:-0} failed, ${not_run:-0} skipped"
    [ "$3" -eq 0 ] || grep -vE '^\[ +(OK|RUN) |^\[-+\]' "$2" | tail -n 60
}

run_googletest() {  # name command...
    local name=$1
    shift
    "$@" --gtest_brief=0 >"$logs/out" 2>&1 </dev/null
    report_googletest "$name" "$logs/out" $?
}

report_googletest() {  # name log exit_code
    count_googletest "$@"
    grep -A3 'Skipped$' "$2" | grep -vE '^--|Skipped$|^\[' || true
}

# Every test program of a build folder, as many side by side as there are cores, for most use one.
run_all_googletests() {  # prefix folder
    local program log
    for program in "$2"/tests/test_*; do
        [ -f "$program" ] && [ -x "$program" ] || continue
        while [ "$(jobs -pr | wc -l)" -ge "$(nproc)" ]; do wait -n; done
        log=$logs/${program##*/}
        { "$program" --gtest_brief=0 >"$log" 2>&1 </dev/null; echo $? >"$log.code"; } &
    done
    wait
    for program in "$2"/tests/test_*; do
        log=$logs/${program##*/}
        [ ! -f "$log.code" ] || report_googletest "$1${program##*/}" "$log" "$(cat "$log.code")"
    done
}

build() {  # folder targets meson_options...
    local folder=$1 targets=$2
    shift 2
    [ -f "$folder/build.ninja" ] || meson setup "$folder" "$@" >"$logs/setup" 2>&1 ||
        { cat "$logs/setup"; return 1; }
    # A folder from before GoogleTest was installed has no tests yet.
    grep -q tests/test_tensor "$folder/build.ninja" ||
        meson setup --reconfigure -Dtests=enabled "$folder" >"$logs/setup" 2>&1 ||
        { cat "$logs/setup"; return 1; }
    ninja -C "$folder" $targets >"$logs/build" 2>&1 || { tail -n 60 "$logs/build"; return 1; }
}

style_tier() {
    local formatter
    formatter=$(command -v clang-format-14 || command -v clang-format)
    if git ls-files '*.h' '*.cpp' '*.cu' '*.cuh' | xargs -r "$formatter" --dry-run -Werror; then
        pass
    else
        fail "clang-format (run clang-format -i on the files above)"
    fi
    for check in tests/include_arrows.sh tests/house_rules.sh; do
        if $check; then pass; else fail "$check"; fi
    done
}

# The cases of test_dist again, on processes that mpirun starts.
mpi_tier() {
    if ! command -v mpirun >/dev/null; then
        skip "mpi" "mpirun is not installed"
        return
    fi
    build build all || { fail "build"; return; }
    for ranks in 2 3; do
        OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_NUM_THREADS=1 \
            mpirun --oversubscribe -n "$ranks" build/tests/test_dist >"$logs/out" 2>&1 </dev/null
        if [ $? -eq 0 ]; then pass; else fail "$ranks ranks by mpirun"; tail -n 30 "$logs/out"; fi
    done
}

unit_tier() {
    build build all || { fail "build"; return; }
    run_all_googletests "" build
}

cli_tier() {
    build build all || { fail "build"; return; }
    for script in tests/cli/*.sh; do
        "$script" "$PWD/build/tools/vila" >"$logs/out" 2>&1 </dev/null
        case $? in
            0) pass ;;
            77) skip "$script" "$(tail -n 1 "$logs/out")" ;;
            *) fail "$script"; tail -n 30 "$logs/out" ;;
        esac
    done
}

# Random inputs, grown from the goldens and the corpus, until the time is up or one of them is a finding.
fuzz() {  # target
    local seeds="$logs/seeds-$1" goldens=tests/goldens corpus=tests/fuzz/corpus/$1
    mkdir -p "$seeds" "$logs/found-$1"
    case $1 in
        safetensors) cp "$goldens"/safetensors_reference.bin "$goldens"/layouts/llava.safetensors "$seeds" ;;
        torch_file) cp "$goldens"/torch_weights.bin "$goldens"/layouts/adapter/mm_projector.bin "$seeds" ;;
        tokenizer_files)
            for file in "$goldens"/tokenizer_*/tokenizer.*; do
                { case $file in *.model) printf 0 ;; *) printf 1 ;; esac; cat "$file"; } \
                    >"$seeds/$(basename "$(dirname "$file")").${file##*.}"
            done ;;
        image) find "$goldens/images" -type f ! -name '*.ppm' ! -name '*.json' ! -name '*.txt' -exec cp {} "$seeds" \; ;;
    esac
    [ -d "$corpus" ] || corpus=
    local longest=16384
    [ "$1" != tokenizer_files ] || longest=40000
    "build-asan/tests/fuzz_$1" "$logs/found-$1" "$seeds" $corpus \
        -max_total_time="${VILA_FUZZ_SECONDS:-60}" -timeout=10 -rss_limit_mb=2560 -max_len="$longest" -verbosity=0 \
        -print_final_stats=1 -artifact_prefix="${TMPDIR:-/tmp}/vila-fuzz-$1-"
}

# The targets side by side, as many as there are cores.
fuzz_all() {  # targets...
    local target
    for target; do
        while [ "$(jobs -pr | wc -l)" -ge "$(nproc)" ]; do wait -n; done
        { fuzz "$target" >"$logs/fuzz-$target" 2>&1 </dev/null; echo $? >"$logs/fuzz-$target.code"; } &
    done
    wait
    for target; do
        if [ "$(cat "$logs/fuzz-$target.code")" = 0 ]; then
            pass
            echo "fuzz $target: $(grep -oE 'executed_units: *[0-9]+' "$logs/fuzz-$target" | grep -oE '[0-9]+') inputs"
        else
            fail "fuzz $target"
            tail -n 40 "$logs/fuzz-$target"
        fi
    done
}

# clang 14 with AddressSanitizer and UndefinedBehaviorSanitizer over the whole CPU suite, and
# ThreadSanitizer over the loader and the ranks that are threads: this is also the clang build.
sanitizers_tier() {
    if ! command -v clang++-14 >/dev/null; then
        skip "sanitizers" "clang++-14 is not installed"
        return
    fi
    # Names and lines for reports, no more: most of the time here goes into compiling. Instrumented, the
    # unrolled kernels take minutes each.
    local options=(-Dbuildtype=plain -Doptimization=1 -Db_lundef=false -Dcuda=disabled
        -Dcpp_args='-gline-tables-only -mllvm -pragma-unroll-threshold=0')
    # A folder from before these options starts anew. nvcc knows no sanitizers; the emulated kernels do.
    local folder
    for folder in build-asan build-tsan; do
        grep -qs -- '-pragma-unroll-threshold=0' "$folder/build.ninja" || rm -rf "$folder"
    done
    CXX=clang++-14 build build-asan all "${options[@]}" -Db_sanitize=address,undefined -Dfuzz=true ||
        { fail "sanitizer build"; return; }
    export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
    run_all_googletests "asan " build-asan
    fuzz_all safetensors torch_file pickle shard_index tokenizer_files image
    CXX=clang++-14 build build-tsan "tests/test_data tests/test_dist" "${options[@]}" -Db_sanitize=thread ||
        { fail "ThreadSanitizer build"; return; }
    # Its runtime does not know the threads of OpenMP.
    VILA_TEST_CASES=4 run_googletest "tsan ranks" build-tsan/tests/test_dist --gtest_filter='-*OpenMp*'
    run_googletest "tsan loader" build-tsan/tests/test_data --gtest_filter='*Loader*'
}

aarch64_tier() {
    if ! command -v aarch64-linux-gnu-g++ >/dev/null || ! command -v qemu-aarch64-static >/dev/null; then
        skip "aarch64" "the cross compiler or qemu-user-static is not installed"
        return
    fi
    build build-aarch64 "tests/test_tensor tests/test_models tests/test_dist" -Db_pch=false --cross-file tests/aarch64.ini || { fail "aarch64 build"; return; }
    for program in test_tensor test_models; do
        run_googletest "aarch64 $program" \
            qemu-aarch64-static -L /usr/aarch64-linux-gnu "build-aarch64/tests/$program"
    done
}

for tier in $tiers; do
    start=$SECONDS
    echo "== $tier"
    "${tier}_tier"
    echo "== $tier took $((SECONDS - start)) s"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
