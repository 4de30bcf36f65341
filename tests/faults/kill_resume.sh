#!/bin/bash
# Kills training with SIGKILL at random instants, resumes it, and compares every byte of the result
# with an undisturbed run.
#   tests/faults/kill_resume.sh BINARY [COUNT [ARGUMENT...]]
# COUNT runs are killed (default 3). Further arguments, such as --dtype bf16, go to vila train.
set -u
binary=$(realpath "$1")
count=${2:-3}
extra=("${@:3}")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$(dirname "$0")/../support/tiny_training_data.sh" "$folder" || exit 1
cd "$folder" || exit 1

# An array instead of a function, so that a signal reaches the program and not a shell around it.
train=("$binary" train lm.toml --threads 1 train.steps=40 train.save_every=2 "${extra[@]}" --out)
# Hashes all that must be equal: weights, optimizer state, tokenizer, and the log without timings.
fingerprint() {  # run
    (cd "$1" && cat model/llm/* checkpoints/step-00000040/rank-00000.safetensors tokenizer/* |
        sha256sum && sed -E 's/"(seconds|tokens_per_second)":[^,]*,//g' log.jsonl | sha256sum)
}

begin=$(date +%s%N)
"${train[@]}" reference 2>reference.log || { cat reference.log; exit 1; }
wall=$((($(date +%s%N) - begin) / 1000))  # microseconds
expected=$(fingerprint reference)

failures=0
for i in $(seq "$count"); do
    kills=0
    while :; do
        "${train[@]}" "run$i" 2>>"run$i.log" &
        pid=$!
        # Each run is killed twice and may then finish.
        if [ "$kills" -lt 2 ]; then
            sleep "$(awk -v r=$RANDOM -v w=$wall 'BEGIN { printf "%.4f", r / 32768 * w / 1e6 }')"
            kill -9 $pid 2>/dev/null && kills=$((kills + 1))
        fi
        wait $pid 2>/dev/null
        code=$?
        # A run that finished before its first kill proves nothing and is repeated.
        if [ $code -eq 0 ] && [ "$kills" -eq 0 ]; then rm -r "run$i"; continue; fi
        [ $code -eq 0 ] && break
        if [ $code -ne 137 ]; then
            echo "run $i: exit code $code instead of a clean resume"
            tail -n 5 "run$i.log"
            failures=$((failures + 1))
            break
        fi
    done
    if [ "$(fingerprint "run$i")" = "$expected" ]; then
        echo "run $i: $kills kills, identical ($(grep -c 'from step' "run$i.log") resumes)"
    else
        echo "run $i: $kills kills, DIFFERENT from the undisturbed run"
        failures=$((failures + 1))
    fi
done
[ $failures -eq 0 ]
