#!/bin/bash
# Makes the i-th write, fsync, rename, mkdir or open on a run's files fail, for every i or for some.
# Training must continue or end with one line, earlier checkpoints must stay intact, and the next start
# must finish the run with the same bytes as an undisturbed run and leave no temporary files.
#   tests/faults/io_faults.sh BINARY LIBRARY [STRIDE]
# LIBRARY is io_faults.so. Every STRIDE-th call fails (default 7), with random errors.
set -u
binary=$(realpath "$1")
library=$(realpath "$2")
stride=${3:-7}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$(dirname "$0")/../support/tiny_training_data.sh" "$folder" || exit 1
cd "$folder" || exit 1

train=("$binary" train lm.toml --threads 1 train.steps=6 train.save_every=2 --out)
fingerprint() {  # run
    (cd "$1" && cat model/llm/* checkpoints/step-00000006/rank-00000.safetensors tokenizer/* |
        sha256sum && sed -E 's/"(seconds|tokens_per_second)":[^,]*,//g; s/,"save_failures":[0-9]+//' \
        log.jsonl | sha256sum)
}
fault() {  # call error run command...
    VILA_FAULT_PATH=/$3/ VILA_FAULT_AT=$1 VILA_FAULT_ERRNO=$2 VILA_FAULT_COUNT=$folder/count \
        LD_PRELOAD=$library "${@:4}" >output 2>&1
}

failures=0
complain() { echo "$1"; tail -n 5 output; failures=$((failures + 1)); }
for mode in false true; do
    rm -rf reference run
    "${train[@]}" reference train.async_save=$mode 2>reference.log || { cat reference.log; exit 1; }
    expected=$(fingerprint reference)
    fault 0 EIO run "${train[@]}" run train.async_save=$mode || { cat output; exit 1; }
    calls=$(cat count)
    errors=(ENOSPC EIO EDQUOT EROFS)
    for ((i = 1; i <= calls; i += stride)); do
        rm -rf run
        fault "$i" "${errors[RANDOM % 4]}" run "${train[@]}" run train.async_save=$mode
        code=$?
        [ $code -eq 0 ] || [ $code -eq 1 ] || complain "call $i of $calls: exit code $code"
        [ $code -eq 0 ] || [ "$(grep -c 'vila train:' output)" -eq 1 ] ||
            complain "call $i of $calls: not one line"
        "${train[@]}" run train.async_save=$mode >output 2>&1 ||
            complain "call $i of $calls: no clean start afterwards"
        [ "$(fingerprint run)" = "$expected" ] || complain "call $i of $calls: other bytes"
        [ -z "$(find run -name '*.tmp-*')" ] || complain "call $i of $calls: debris"
    done
    echo "async_save=$mode: $calls calls, every ${stride}th failed once"
done
[ $failures -eq 0 ]
