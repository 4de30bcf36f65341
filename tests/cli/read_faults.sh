#!/bin/bash
# Makes reads of files fail, one at a time, as a bad disk does: a command must fail with one line, or give
# the result of an undisturbed run. It must never succeed with less.
#   tests/cli/read_faults.sh BINARY
# VILA_TEST_FAULTS=1 lets every read fail in turn; by default about 12 reads of each command fail.
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

for stage in lm align sft; do
    run_expect 0 "finished" train $stage.toml --out $stage --threads 1
done
for color in red blue; do cp images/$color.bmp . && echo "a $color square" >$color.txt; done
tar -cf pairs.tar red.bmp red.txt blue.bmp blue.txt
for i in $(seq 300); do
    echo "{\"id\": $i, \"prompt\": \"<image>a request $i of many, longer than a block of the file\", \"images\": [\"images/red.bmp\"]}"
done >requests.jsonl
head -n 3 requests.jsonl >few.jsonl
for i in $(seq 300); do echo "{\"question_id\": $i, \"text\": \"what?\", \"answer\": \"red\"}"; done >questions.jsonl
for i in $(seq 300); do echo "{\"question_id\": $i, \"text\": \"$((i % 2))red\"}"; done >predictions.jsonl
for i in $(seq 3000); do echo "{\"text\": \"document $i with some words\"}"; done | gzip >many.jsonl.gz
yes "the red square" | head -n 20000 >many.txt
{ cat lm.toml; yes "# a comment that makes the recipe longer than a block" | head -n 3000; echo "zero = 3"; } >long.toml

# A train command prints nothing that stays the same, so its model is compared.
command_output() {
    case $1 in
        train) rm -rf run; "$binary" "$@" 2>errors && cat run/model/llm/model.safetensors run/tokenizer/* ;;
        tokenize) "$binary" "$@" 2>errors <many.txt ;;
        *) "$binary" "$@" 2>errors </dev/null ;;
    esac
}
disturbed() {  # call arguments...: with reads of files in the folder that fail
    VILA_FAULT_CALLS=reads VILA_FAULT_PATH=$folder/ VILA_FAULT_AT=$1 VILA_FAULT_ERRNO=EIO \
        VILA_FAULT_COUNT=$folder.count LD_PRELOAD=$library command_output "${@:2}"
}
seed=${VILA_TEST_SEED:-1}
try() {  # arguments...
    local calls step i code failed=0
    command_output "$@" >expected
    check "undisturbed: $*" [ $? -eq 0 ]
    disturbed 0 "$@" >got || cat errors
    check "counting changes nothing: $*" cmp -s got expected
    calls=$(cat "$folder.count")
    step=$(((calls + 11) / 12))
    [ "${VILA_TEST_FAULTS:-3}" -eq 1 ] && step=1
    for ((i = 1 + seed % step; i <= calls; i += step)); do
        disturbed $i "$@" >got
        code=$?
        cp errors output
        if [ $code -eq 0 ]; then
            check "read $i of $calls failed, and less came out: $*" cmp -s got expected
        else
            failed=$((failed + 1))
            check "exit code $code: $*" [ $code -eq 1 ]
            check "read $i of $calls: one line: $*" [ "$(grep -c '^vila ' errors)" -eq 1 ]
        fi
    done
    check "some reads failed: $*" [ $failed -gt 0 ]
    echo "$calls reads, $failed failures: $1"
    rm -f "$folder.count"
}

model=(--model sft/model --threads 1)
try plan long.toml
try train lm.toml --out run --threads 1 train.steps=4
try generate "${model[@]}" --input few.jsonl --max-tokens 2
try score "${model[@]}" --input requests.jsonl --output -
try eval exact --data questions.jsonl "${model[@]}" --max-tokens 1 --limit 5
try eval exact --predictions predictions.jsonl --annotations questions.jsonl --json
try tokenize --model sft/model
try data check llava.json --format llava --images images --decode "${model[@]}"
try data check pairs.tar --format pairs --decode --threads 1
try data check many.jsonl.gz --format text --threads 1
try data stats text.txt --format text --model sft/model
try inspect sft/model
try inspect llava.json --format llava --images images --model sft/model
try inspect sft/checkpoints/step-* --verify
try report sft --samples 2 --threads 1 --output -
try preprocess images/red.bmp images/blue.bmp "${model[@]}" --output -
finish
