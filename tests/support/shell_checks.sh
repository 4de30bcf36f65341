# Functions for tests of the whole program, to be sourced: check, run_expect, same, finish. Failures are
# counted in `failures`. The caller sets `binary` and works in a folder of its own, where ./output is
# the output of the last command.
failures=0

check() {  # what condition...: reports `what` as failed unless the command succeeds
    local what=$1
    shift
    if "$@" >/dev/null 2>&1; then return; fi
    echo "FAILED: $what"
    [ -s output ] && tail -n 5 output
    failures=$((failures + 1))
}

# run_expect CODE 'TEXT' arguments...: runs the program and checks its exit code, and that its output
# contains the text.
run_expect() {
    local code=$1 text=$2 got
    shift 2
    "$binary" "$@" >output 2>&1 </dev/null
    got=$?
    check "exit code $got instead of $code: $*" [ $got -eq "$code" ]
    [ -z "$text" ] || check "'$text' is missing from the output of: $*" grep -qF -- "$text" output
}

same() { cmp -s "$1" "$2"; }

# The last line of a test: succeeds if nothing failed.
finish() {
    [ $failures -eq 0 ] && echo "all good"
    [ $failures -eq 0 ]
}
