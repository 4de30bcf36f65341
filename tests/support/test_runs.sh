# shellcheck shell=bash
# Runs and counts the test programs of tools/test.sh, to be sourced. Programs run side by side, as many
# as there are cores, and each writes to a log of its own; the logs are reported afterwards, one after
# the other. The caller sets `logs`, a folder for logs and exit codes.

passed=0 failed=0 skipped=0

pass() { passed=$((passed + 1)); }
fail() { failed=$((failed + 1)); echo "FAILED: $1"; }
skip() { skipped=$((skipped + 1)); echo "SKIPPED: $1: $2"; }

# The test programs that take longest, longest first. test_faults mostly waits for the disk.
slow_programs="test_faults test_dist_cuda test_models test_cuda_emulated test_autograd test_dist
    test_tensor test_data test_tools"

logged() {  # name command...: the output goes to NAME.log, the exit code to NAME.code
    local name=$1
    shift
    "$@" >"$logs/$name.log" 2>&1 </dev/null
    echo $? >"$logs/$name.code"
}

exit_code_of() { cat "$logs/$1.code" 2>/dev/null || echo none; }

# Calls a function of this file or of its caller with each argument, as many at a time as there are
# cores, in the order given.
side_by_side() {  # function arguments...
    local function=$1
    shift
    export logs
    export -f logged "${function?}"
    printf '%s\0' "$@" | xargs -0 -r -n 1 -P "$(nproc)" bash -c "$function \"\$1\"" bash
}

# Counts one GoogleTest log. A program that died early or never finished is one more failure.
report_googletest() {  # name
    local log="$logs/$1.log" code ok bad not_run
    code=$(exit_code_of "$1")
    [ -f "$log" ] || : >"$log"
    ok=$(grep -oE '^\[  PASSED  \] [0-9]+' "$log" | grep -oE '[0-9]+$')
    bad=$(grep -oE '^\[  FAILED  \] [0-9]+ test' "$log" | grep -oE '[0-9]+')
    not_run=$(grep -oE '^\[  SKIPPED \] [0-9]+ test' "$log" | grep -oE '[0-9]+')
    passed=$((passed + ${ok:-0})) failed=$((failed + ${bad:-0})) skipped=$((skipped + ${not_run:-0}))
    if [ "$code" != 0 ] && [ -z "$bad" ]; then
        fail "$1 ended with exit code $code"
    elif ! grep -qE '^\[=+\] .* ran\.' "$log"; then
        fail "$1 ended before its last test"
    fi
    echo "$1: ${ok:-0} passed, ${bad:-0} failed, ${not_run:-0} skipped"
    [ "$code" = 0 ] || grep -vE '^\[ +(OK|RUN) |^\[-+\]' "$log" | tail -n 60
    grep -A3 'Skipped$' "$log" | grep -vE '^--|Skipped$|^\[' || true
}

# The arguments with the slowest test programs first. A program that slow_programs does not list
# comes before them: it might be the slowest.
slowest_first() {  # programs...
    local program rank
    for program; do
        rank=$(tr -s ' \n' '\n' <<<"$slow_programs" | grep -nx "${program##*/}" | cut -d: -f1)
        echo "${rank:-0} $program"
    done | sort -n -k1,1 -s | cut -d' ' -f2-
}

run_unit_program() { logged "$prefix${1##*/}" "$1" --gtest_brief=0; }

# Runs every test program of a build folder.
run_all_googletests() {  # prefix folder
    local program programs
    export prefix=$1
    mapfile -t programs < <(find "$2/tests" -maxdepth 1 -name 'test_*' -type f -executable | sort)
    [ ${#programs[@]} -gt 0 ] || { fail "$2/tests has no test programs"; return; }
    mapfile -t programs < <(slowest_first "${programs[@]}")
    side_by_side run_unit_program "${programs[@]}"
    for program in $(printf '%s\n' "${programs[@]##*/}" | sort); do report_googletest "$1$program"; done
}

# Random inputs, grown from the goldens and the corpus, until the time is up or an input is a finding.
fuzz() {  # target
    local seeds="$logs/seeds-$1" goldens=tests/goldens corpus=tests/fuzz/corpus/$1 longest=16384
    mkdir -p "$seeds" "$logs/found-$1"
    case $1 in
        safetensors) cp "$goldens"/safetensors_reference.bin "$goldens"/layouts/llava.safetensors "$seeds" ;;
        torch_file) cp "$goldens"/torch_weights.bin "$goldens"/layouts/adapter/mm_projector.bin "$seeds" ;;
        tokenizer_files)
            longest=40000
            for file in "$goldens"/tokenizer_*/tokenizer.*; do
                { case $file in *.model) printf 0 ;; *) printf 1 ;; esac; cat "$file"; } \
                    >"$seeds/$(basename "$(dirname "$file")").${file##*.}"
            done ;;
        image) find "$goldens/images" -type f ! -name '*.ppm' ! -name '*.json' ! -name '*.txt' \
            -exec cp {} "$seeds" \; ;;
    esac
    [ -d "$corpus" ] || corpus=
    # shellcheck disable=SC2086
    "build-asan/tests/fuzz_$1" "$logs/found-$1" "$seeds" $corpus \
        -max_total_time="${VILA_FUZZ_SECONDS:-15}" -timeout=10 -rss_limit_mb=2560 -max_len="$longest" \
        -verbosity=0 -print_final_stats=1 -artifact_prefix="${TMPDIR:-/tmp}/vila-fuzz-$1-"
}

run_fuzz_target() { logged "fuzz $1" fuzz "$1"; }

fuzz_all() {  # targets...
    local target
    export -f fuzz
    side_by_side run_fuzz_target "$@"
    for target; do
        if [ "$(exit_code_of "fuzz $target")" = 0 ]; then
            pass
            echo "fuzz $target: $(grep -oE 'executed_units: *[0-9]+' "$logs/fuzz $target.log" |
                grep -oE '[0-9]+') inputs"
        else
            fail "fuzz $target"
            tail -n 40 "$logs/fuzz $target.log"
        fi
    done
}
