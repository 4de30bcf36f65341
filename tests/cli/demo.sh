#!/bin/bash
# Tests vila demo as a user runs it, on a hundredth of the world and with three steps per stage: the
# files it writes, that it resumes where it stopped, and that stopping it stops the training it started.
#   tests/cli/demo.sh BINARY
set -u
tests=$(cd "$(dirname "$0")/.." && pwd)
binary=$(realpath "$1")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
. "$tests/support/shell_checks.sh"

small=(--scale 0.01 --threads 1 --set)

# --- stopped while it trains: the child process ends as well, after saving a checkpoint ---
"$binary" demo --out demo "${small[@]}" train.steps=100000 >output 2>&1 &
pid=$!
for _ in $(seq 600); do [ -s demo/runs/lm-1/log.jsonl ] && break; sleep 0.05; done
kill -TERM $pid
wait $pid
for _ in $(seq 200); do
    pgrep -f "$folder/demo/runs/lm-1" >/dev/null || break
    sleep 0.05
done
check "no training is left behind" [ -z "$(pgrep -f "$folder/demo/runs/lm-1")" ]
check "it saved before it ended" [ -n "$(ls demo/runs/lm-1/checkpoints)" ]
rm -r demo

# --- from start to end ---
run_expect 0 "Held-out questions about images" demo --out demo "${small[@]}" train.steps=3
for file in report.html results.json model/config.json world/world.json recipes/sft.toml; do
    check "demo/$file is missing" [ -s "demo/$file" ]
done
for column in unbound chance blind; do
    check "the table has $column" grep -q "$column" output
done
check "the report shows pictures" grep -q "data:image/png;base64" demo/report.html
before=$(stat -c %Y.%i demo/runs/*/model/config.json)
run_expect 0 "Held-out questions about images" demo --out demo "${small[@]}" train.steps=3
check "finished stages are left alone" [ "$before" = "$(stat -c %Y.%i demo/runs/*/model/config.json)" ]
run_expect 1 "holds the world of another seed" demo --out demo "${small[@]}" train.steps=3 --seed 2
run_expect 1 "holds a world of another size" demo --out demo --scale 0.02 --threads 1 --set train.steps=3
run_expect 1 "lm-1" demo --out other "${small[@]}" train.stps=3
check "the message of the training is shown" grep -q "did you mean 'train.steps'" output
run_expect 0 "" generate --model demo/model --image demo/world/images/test/000000.png --prompt "what color is it ?"

finish
