#!/bin/bash
# Tests vila train under mpirun as a user runs it: the same weights on any number of ranks and in any
# ZeRO stage, resuming with other ranks, images on some ranks only, one clear line for each error,
# SIGTERM to one rank, and kills.
#   tests/cli/ranks.sh BINARY
set -u
tests=$(cd "$(dirname "$0")/.." && pwd)
binary=$(realpath "$1")
command -v mpirun >/dev/null || { echo "mpirun is not installed"; exit 77; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$tests/support/tiny_training_data.sh" "$folder" || exit 1
cd "$folder" || exit 1
. "$tests/support/shell_checks.sh"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1

# ranks N arguments...: runs vila train on N ranks.
ranks() { timeout 120 mpirun --oversubscribe -n "$1" "$binary" train "${@:2}" >output 2>&1; }
# expect CODE 'TEXT' N arguments...: checks the exit code, and that the output contains the text.
expect() {
    ranks "${@:3}"
    local code=$?
    check "exit code of $code for: ${*:3}" [ $code -eq "$1" ]
    check "'$2' for: ${*:3}" grep -qF -- "$2" output
}
# The log without timings and communication counters.
losses() {
    sed -E 's/,"communication":\{[^}]*\}//; s/"(seconds|tokens_per_second)":[^,]*,//g' "$1/log.jsonl"
}
same_losses() { [ "$(losses "$1")" = "$(losses "$2")" ]; }
weights=model/llm/model.safetensors

# --- rank invariance: the bytes do not depend on ranks and stages ---
expect 0 "finished" 1 lm.toml --out one --threads 1 train.rank_invariant=true
for job in 2:0 3:1 4:2 2:3; do
    n=${job%:*} zero=${job#*:}
    expect 0 "finished" "$n" lm.toml --out "run$job" train.rank_invariant=true "train.zero=$zero"
    check "$n ranks, stage $zero: the weights of one" same one/$weights "run$job/$weights"
    check "$n ranks, stage $zero: the log of one" same_losses one "run$job"
done
check "one rank prints" [ "$(grep -c finished output)" -eq 1 ]
expect 0 "finished" 3 lm.toml --out bf --dtype bf16 train.rank_invariant=true train.zero=2
expect 0 "finished" 1 lm.toml --out bf1 --dtype bf16 train.rank_invariant=true
check "bf16: three ranks and one" same bf/$weights bf1/$weights

# --- the same for 200 steps; tests/dist/zero.cpp tests 6 and 8 ranks ---
for job in 1:2 2:0 4:2; do
    n=${job%:*} zero=${job#*:}
    expect 0 "finished" "$n" lm.toml --out "long$n" --threads 1 train.rank_invariant=true \
        "train.zero=$zero" train.steps=200 train.save_every=100
    check "$n ranks, stage $zero, 200 steps" same long1/$weights "long$n/$weights"
    check "$n ranks, stage $zero, 200 steps: the log" same_losses long1 "long$n"
done

# --- without rank invariance, ranks share the work of a batch; all stages agree ---
expect 0 "finished" 2 lm.toml --out plain0 train.zero=0
expect 0 "finished" 2 lm.toml --out plain2 train.zero=2
check "stages 0 and 2" same plain0/$weights plain2/$weights
# One step: gradients, weights, the step header and the step totals.
check "four collectives a step" grep -q '"collectives":4,' plain2/log.jsonl
check "what ranks cost is printed" grep -q "MB sent" output
expect 0 "finished" 2 lm.toml --out apart train.zero=2 train.overlap=false
check "sums in the background have the same bits" same plain2/$weights apart/$weights
expect 0 "finished" 1 lm.toml --out alone --threads 1
last() { tail -n 1 "$1/log.jsonl" | sed -E 's/.*"loss":([0-9.]+).*/\1/'; }
check "two ranks learn as one does: $(last plain0), $(last alone)" \
    awk "BEGIN { d = $(last plain0) - $(last alone); exit !(d < 0.02 && d > -0.02) }"
expect 1 "expected a multiple of the 3 ranks" 3 lm.toml --out odd

# --- bad records of all ranks count together ---
sed '1~4s/.*/{"instruction": 1}/' instructions.jsonl >broken.jsonl
broken=(2 lm.toml 'data.sources[1].path=broken.jsonl' model.tokenizer=one/model/llm 'model.tokenizer_config={}')
expect 0 "finished" "${broken[@]}" --out broken6 data.max_bad_share=0.06
expect 1 " of 48 records cannot be used, more than the 5 allowed" "${broken[@]}" --out broken5 \
    data.max_bad_share=0.05

# --- a run resumes with other ranks and another stage ---
expect 0 "finished" 3 lm.toml --out moved train.rank_invariant=true train.zero=1
for job in 1:0 4:2 2:3 3:0; do
    rm -r moved/model moved/checkpoints/step-00000012
    expect 0 "from step 10" "${job%:*}" lm.toml --out moved --threads 1 train.rank_invariant=true \
        "train.zero=${job#*:}"
    check "resuming as $job" same one/$weights moved/$weights
done
check "every byte verifies" "$binary" inspect --verify moved/checkpoints/step-00000012
"$binary" export moved/checkpoints/step-00000012 exported >output 2>&1
check "an exported checkpoint is the model" same exported/llm/model.safetensors one/$weights

# --- images: trained and frozen towers, ranks without any ---
expect 0 "finished" 1 lm.toml --out lm --threads 1
expect 0 "finished" 1 align.toml --out align --threads 1
for tower in false true; do
    for n in 1 2 4; do
        expect 0 "finished" "$n" sft.toml --out "sft-$tower-$n" --threads 1 \
            train.rank_invariant=true train.zero=3 "trainable.vision_tower=$tower"
    done
    for part in llm mm_projector vision_tower; do
        for n in 2 4; do
            check "tower $tower, $n ranks: $part" same "sft-$tower-1/model/$part/model.safetensors" \
                "sft-$tower-$n/model/$part/model.safetensors"
        done
    done
done

# --- image-text pairs: every rank uses the captions of all ranks ---
expect 0 "finished" 1 clip.toml --out clip1 --threads 1 train.steps=20
for job in 2:0 3:3; do
    expect 0 "finished" "${job%:*}" clip.toml --out "clip$job" --threads 1 train.steps=20 \
        "train.zero=${job#*:}"
    check "clip on ${job%:*} ranks learns as one does: $(last clip1), $(last "clip$job")" \
        awk "BEGIN { d = $(last clip1) - $(last "clip$job"); exit !(d < 0.01 && d > -0.01) }"
done

# --- an error is reported once ---
expect 1 "absent.toml" 2 absent.toml --out x
check "one line" [ "$(grep -c 'vila train:' output)" -eq 1 ]
expect 2 "--out is required" 2 lm.toml
timeout 60 mpirun --oversubscribe -n 1 "$binary" train lm.toml --out differ optimizer.lr=1e-2 : \
    -n 1 "$binary" train lm.toml --out differ optimizer.lr=2e-2 >output 2>&1
check "recipes that differ" grep -q "the ranks disagree on the recipe.*lr = 0.01.*lr = 0.02" output
OMPI_COMM_WORLD_SIZE=4 "$binary" train lm.toml --out x >output 2>&1
check "processes that do not find each other" grep -q "the launcher started 4 processes" output
expect 1 "absent.txt" 2 lm.toml --out full 'data.sources[0].path=absent.txt'
mkdir full/checkpoints
chmod 500 full/checkpoints
if ! touch full/checkpoints/x 2>/dev/null; then  # root may write anywhere
    expect 1 "could not be saved 3 times in a row" 2 lm.toml --out full train.save_every=1
fi

# --- checkpoints written in the background ---
expect 0 "finished" 3 lm.toml --out async train.rank_invariant=true train.async_save=true \
    train.save_every=1
check "saving in the background changes nothing" same one/$weights async/$weights
check "nothing is left of it" [ -z "$(find async -name '*.tmp-*')" ]

# --- SIGTERM to one rank: all ranks save and exit ---
mpirun --oversubscribe -n 3 "$binary" train lm.toml --out term train.rank_invariant=true \
    train.steps=5000 >output 2>&1 &
pid=$!
for _ in $(seq 200); do [ -s term/log.jsonl ] && break; sleep 0.05; done
kill -TERM "$(pgrep -P $pid | tail -n 1)"
wait $pid
check "SIGTERM to one rank gives exit code 143" [ $? -eq 143 ]
stopped=$(wc -l <term/log.jsonl)
check "SIGTERM saved step $stopped" [ -e "term/checkpoints/step-$(printf %08d "$stopped")" ]

# --- hangs and system calls that fail ---
library=$(dirname "$binary")/../tests/io_faults.so
"$tests/faults/hang_ranks.sh" "$binary" "$library" >output 2>&1
check "hangs are ended and named" [ $? -eq 0 ]
"$tests/faults/io_faults.sh" "$binary" "$library" 29 >output 2>&1
check "system calls that fail" [ $? -eq 0 ]

# --- stopped by signals at random instants: to mpirun, to one rank, to a stand-in for srun ---
"$tests/faults/stop_signals.sh" "$binary" "${VILA_TEST_STOPS:-1}" mpirun one_rank srun >output 2>&1
check "signals save the last finished step" [ $? -eq 0 ]

# --- killed at random instants ---
"$tests/faults/kill_ranks.sh" "$binary" 4 both >output 2>&1
check "kill and resume on changing ranks" [ $? -eq 0 ]

finish
