# shellcheck shell=bash
# The builds of tools/test.sh, to be sourced. They run in the background, one after the other, in the
# order in which the tiers need them, at the lowest priority: a build takes the time that the tests of
# an earlier tier leave idle (waiting for the disk, the last program of many), and the whole machine
# while a tier waits for it.
# The caller sets `logs`, a folder for the output and exit codes of everything that runs.

# Optimized little and with line tables only, because most of the time of the sanitizers goes into
# compiling. Instrumented, the unrolled kernels would take minutes each. nvcc knows no sanitizers; the
# emulated kernels do. No program of these builds is started by mpirun.
sanitizer_options=(-Dbuildtype=plain -Doptimization=1 -Db_lundef=false -Dcuda=disabled -Dmpi=disabled
    -Dcpp_args='-gline-tables-only -mllvm -pragma-unroll-threshold=0')

builds_of() {  # tier: the builds it needs, in the order in which it needs them
    case $1 in
        unit | mpi) echo tests ;;
        cli) echo binary ;;
        sanitizers) echo asan tsan ;;
        aarch64) echo aarch64 ;;
    esac
}

build() {  # folder targets meson_options...
    local folder=$1 targets=$2
    shift 2
    [ -f "$folder/build.ninja" ] || meson setup "$folder" "$@" || return 1
    # A folder from before GoogleTest was installed has no tests yet.
    grep -q tests/test_tensor "$folder/build.ninja" ||
        meson setup --reconfigure -Dtests=enabled "$folder" || return 1
    # shellcheck disable=SC2086
    ninja -C "$folder" $targets
}

build_with_sanitizer() {  # folder targets meson_options...
    local folder=$1 targets=$2
    # A folder that was set up with other options starts anew.
    grep -qs -- '-pragma-unroll-threshold=0' "$folder/build.ninja" &&
        grep -qs no_mpi_ranks "$folder/build.ninja" || rm -rf "$folder"
    CXX=clang++-14 build "$folder" "$targets" "${sanitizer_options[@]}" "${@:3}"
}

run_build() {  # name
    case $1 in
        tests) build build test_programs ;;
        binary) build build all ;;
        asan) build_with_sanitizer build-asan "test_programs fuzz_programs" \
            -Db_sanitize=address,undefined -Dfuzz=true ;;
        tsan) build_with_sanitizer build-tsan "tests/test_loader tests/test_dist" -Db_sanitize=thread ;;
        aarch64) build build-aarch64 "tests/test_tensor tests/test_models dist/libvila_dist.a" \
            -Db_pch=false --cross-file tests/aarch64.ini ;;
    esac
}

run_builds() {  # names...
    local name
    renice -n 19 "$BASHPID" >/dev/null 2>&1
    for name; do
        run_build "$name" >"$logs/build-$name.log" 2>&1
        echo $? >"$logs/build-$name.code"
    done
}

# Starts the builds of all tiers. Their process group is their own, so that stop_builds ends
# compilers, too.
start_builds() {  # tiers...
    local tier names=
    for tier; do names="$names $(builds_of "$tier")"; done
    names=$(tr ' ' '\n' <<<"$names" | awk 'NF && !seen[$0]++')
    set -m
    # shellcheck disable=SC2086
    run_builds $names </dev/null &
    builder=$!
    set +m
}

stop_builds() {
    [ -z "${builder:-}" ] || kill -- "-$builder" 2>/dev/null
    builder=
}

# Waits until a build has ended. Fails, and shows the end of its output, unless it succeeded; a build
# that ended without an exit code has failed.
wait_for_build() {  # name
    local code=$logs/build-$1.code
    while [ ! -s "$code" ] && kill -0 "$builder" 2>/dev/null; do sleep 0.2; done
    [ "$(cat "$code" 2>/dev/null)" != 0 ] || return 0
    [ ! -f "$logs/build-$1.log" ] || tail -n 60 "$logs/build-$1.log"
    [ -s "$code" ] || echo "the build '$1' ended without an exit code"
    return 1
}
