#!/bin/bash
# Makes calls that write fail, one at a time, as a full or bad disk does: write, fsync, rename, mkdir and
# open for writing. A command must fail with one line and leave the folder that it writes to as it was, or
# succeed with all of its output. Interrupted calls and short counts must not matter.
#   tests/cli/write_faults.sh BINARY
# VILA_TEST_FAULTS=1 lets every call fail in turn with every error; by default about 6 calls of each
# command fail.
set -u
tests=$(cd "$(dirname "$0")/.." && pwd)
binary=$(realpath "$1")
library=$(dirname "$binary")/../tests/io_faults.so
[ -e "$library" ] || { echo "$library is not built: GoogleTest is not installed"; exit 77; }
library=$(realpath "$library")
folder=$(mktemp -d)
trap 'rm -rf "$folder" "$folder.count"' EXIT
"$tests/support/tiny_training_data.sh" "$folder" || exit 1
cd "$folder" || exit 1
. "$tests/support/shell_checks.sh"

for stage in lm align sft; do run_expect 0 "finished" train $stage.toml --out $stage --threads 1; done
step=$(basename "$(ls -d sft/checkpoints/step-* | tail -n 1)")
for i in $(seq 40); do
    echo "{\"id\": $i, \"prompt\": \"<image>request $i\", \"images\": [\"images/red.bmp\"], \"target\": \"red\"}"
done >requests.jsonl
for i in $(seq 40); do echo "{\"question_id\": $i, \"text\": \"what?\", \"answer\": \"red\"}"; done >questions.jsonl
yes "the red square" | head -n 20000 >many.txt
# The folder to write to holds an older output of every command, which a failure must not harm.
mkdir older
for name in pixels answers dump scores page.html stdout notes.txt; do echo "older $name" >older/$name; done

# A line for everything in out/: name, kind, and a checksum without the times of the measured calls.
contents() {
    find out -printf '%p %y\n' | sort | while read -r file kind; do
        echo "$file $kind $([ "$kind" = d ] ||
            sed -E 's/"(seconds|tokens_per_second)":[^,}]*//g; s/nonce [0-9a-f]*//' "$file" | cksum)"
    done | sort
}
command_output() { "$binary" "$@" 2>errors >out/stdout <many.txt; }
disturbed() {  # call error arguments...
    VILA_FAULT_PATH=$folder/out/ VILA_FAULT_AT=$1 VILA_FAULT_ERRNO=$2 \
        VILA_FAULT_COUNT=$folder.count LD_PRELOAD=$library command_output "${@:3}"
}
fresh() {
    rm -rf out && cp -r older out
}
seed=${VILA_TEST_SEED:-1}
tried=0
# The errors for a call: all of them, or the next one in turn.
errors_of() {
    local all=(EIO ENOSPC EACCES short EINTR)
    if [ "${VILA_TEST_FAULTS:-6}" -eq 1 ]; then echo "${all[@]}"; else echo "${all[$1 % 5]}"; fi
}
# try arguments...: what the command leaves in out/, with every call failing in turn.
try() {
    local calls step i code error failed=0 expected before after left
    fresh && command_output "$@"
    check "undisturbed: $*" [ $? -eq 0 ]
    expected=$(contents)
    fresh && disturbed 0 EIO "$@"
    check "counting changes nothing: $*" [ "$(contents)" = "$expected" ]
    calls=$(cat "$folder.count")
    step=$(((calls + 5) / 6))
    [ "${VILA_TEST_FAULTS:-6}" -eq 1 ] && step=1
    # What has been written to standard output stays, so it is not compared after a failure.
    before=$(fresh && rm out/stdout && contents)
    after=$(fresh && command_output "$@" && rm out/stdout && contents)
    for ((i = 1 + seed % step; i <= calls; i += step)); do
        for error in $(errors_of $((tried++))); do
            fresh
            disturbed $i "$error" "$@"
            code=$?
            cp errors output
            if [ $code -eq 0 ]; then
                check "call $i of $calls, $error: success with other output: $*" [ "$(contents)" = "$expected" ]
                continue
            fi
            failed=$((failed + 1))
            check "call $i of $calls, $error: exit code $code: $*" [ $code -eq 1 ]
            check "call $i of $calls, $error: one line: $*" [ "$(grep -c '^vila ' errors)" -eq 1 ]
            check "call $i of $calls: a short count must not matter: $*" [ "$error" != short ]
            rm out/stdout
            # Each file is the older one or the complete new one.
            left=$(comm -23 <(contents) <(sort -u <<<"$before"$'\n'"$after"))
            check "call $i of $calls, $error: a partial output: $*: $left" [ -z "$left" ]
        done
    done
    check "some calls failed: $*" [ $failed -gt 0 ]
    echo "$calls calls, $failed failures: $1"
    rm -f "$folder.count"
}

model=(--model sft/model --threads 1)
try generate "${model[@]}" --input requests.jsonl --max-tokens 2
try score "${model[@]}" --input requests.jsonl --output out/answers --dump out/dump
try eval exact --data questions.jsonl "${model[@]}" --max-tokens 1 --output out/scores
try preprocess images/red.bmp images/blue.bmp "${model[@]}" --output out/pixels
try report sft --samples 2 --threads 1 --output out/page.html
try tokenize --model sft/model
try convert sft/model out/converted --to llava
try export sft/checkpoints/"$step" out/exported
try data make-world --out out/world --scale 0.0003
finish
