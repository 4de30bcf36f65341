#!/bin/bash
# The whole proof on one machine: installs what is missing, builds, runs every test this machine can
# run, and ends with the line "N passed, N failed, N skipped". Exits 1 if anything failed.
#   tools/test.sh [tier...]     tiers: style unit mpi cli sanitizers aarch64 (all of them by default)
#   VILA_FUZZ_SECONDS=60        how long the tier sanitizers runs each fuzz target (15 by default)
# The builds run in the background, ahead of the tiers that need them: tests/support/test_builds.sh.
set -u
cd "$(dirname "$0")/.." || exit 1
all_tiers=(style unit mpi cli sanitizers aarch64)
tiers=("$@")
[ $# -gt 0 ] || tiers=("${all_tiers[@]}")
for tier in "${tiers[@]}"; do
    [[ " ${all_tiers[*]} " == *" $tier "* ]] || { echo "no tier '$tier'; expected: ${all_tiers[*]}"; exit 2; }
done
tools/install_packages.sh tests || exit 1

logs=$(mktemp -d)
. tests/support/test_builds.sh
. tests/support/test_runs.sh
trap 'stop_builds; rm -rf "$logs"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

style_tier() {
    local formatter check
    formatter=$(command -v clang-format-14 || command -v clang-format)
    if git ls-files '*.h' '*.cpp' '*.cu' '*.cuh' | xargs -r "$formatter" --dry-run -Werror; then
        pass
    else
        fail "clang-format (run clang-format -i on the files above)"
    fi
    for check in tests/include_arrows.sh tests/house_rules.sh tests/walks.sh; do
        if $check; then pass; else fail "$check"; fi
    done
}

unit_tier() {
    wait_for_build tests || { fail "build"; return; }
    run_all_googletests "" build
}

# The cases of test_dist again, on processes that mpirun starts.
mpi_tier() {
    local ranks
    if ! command -v mpirun >/dev/null; then
        skip "mpi" "mpirun is not installed"
        return
    fi
    wait_for_build tests || { fail "build"; return; }
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    for ranks in 2 3; do
        OMP_NUM_THREADS=1 logged "mpi $ranks" mpirun --oversubscribe -n "$ranks" build/tests/test_dist
        if [ "$(exit_code_of "mpi $ranks")" = 0 ]; then
            pass
        else
            fail "$ranks ranks by mpirun"
            tail -n 30 "$logs/mpi $ranks.log"
        fi
    done
}

cli_tier() {
    local script
    wait_for_build binary || { fail "build"; return; }
    for script in tests/cli/*.sh; do
        logged cli "$script" "$PWD/build/tools/vila"
        case $(exit_code_of cli) in
            0) pass ;;
            77) skip "$script" "$(tail -n 1 "$logs/cli.log")" ;;
            *) fail "$script"; tail -n 30 "$logs/cli.log" ;;
        esac
    done
}

run_with_tsan() {  # ranks or loader
    case $1 in
        # The runtime of ThreadSanitizer does not know the threads of OpenMP.
        ranks) VILA_TEST_CASES=4 logged "tsan ranks" build-tsan/tests/test_dist --gtest_filter='-*OpenMp*' ;;
        loader) logged "tsan loader" build-tsan/tests/test_loader ;;
    esac
}

# clang 14 with AddressSanitizer and UndefinedBehaviorSanitizer on all test programs that need no GPU,
# and ThreadSanitizer on the loader and on ranks that are threads. This is also the build with clang.
sanitizers_tier() {
    if ! command -v clang++-14 >/dev/null; then
        skip "sanitizers" "clang++-14 is not installed"
        return
    fi
    wait_for_build asan || { fail "sanitizer build"; return; }
    export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
    run_all_googletests "asan " build-asan
    fuzz_all safetensors torch_file pickle shard_index tokenizer_files image jinja
    wait_for_build tsan || { fail "ThreadSanitizer build"; return; }
    side_by_side run_with_tsan ranks loader
    report_googletest "tsan ranks"
    report_googletest "tsan loader"
}

run_on_aarch64() {  # program
    logged "aarch64 $1" qemu-aarch64-static -L /usr/aarch64-linux-gnu "build-aarch64/tests/$1" --gtest_brief=0
}

aarch64_tier() {
    local program
    if ! command -v aarch64-linux-gnu-g++ >/dev/null || ! command -v qemu-aarch64-static >/dev/null; then
        skip "aarch64" "the cross compiler or qemu-user-static is not installed"
        return
    fi
    wait_for_build aarch64 || { fail "aarch64 build"; return; }
    side_by_side run_on_aarch64 test_tensor test_models
    for program in test_tensor test_models; do report_googletest "aarch64 $program"; done
}

start_builds "${tiers[@]}"
for tier in "${tiers[@]}"; do
    start=$SECONDS
    echo "== $tier"
    "${tier}_tier"
    echo "== $tier took $((SECONDS - start)) s"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
