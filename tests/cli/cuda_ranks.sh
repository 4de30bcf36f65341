#!/bin/bash
# Tests vila train under mpirun on emulated GPUs with concurrent streams, connected by a library in
# place of NCCL: results equal those of one GPU in any ZeRO stage, runs resume with other ranks and on
# the other device, and each error is one clear line.
#   tests/cli/cuda_ranks.sh BINARY
set -u
sources=$(cd "$(dirname "$0")/.." && pwd)
tests=$(realpath "$(dirname "$1")/../tests")
cpu=$(realpath "$1")
binary=$tests/vila_emulated
command -v mpirun >/dev/null || { echo "mpirun is not installed"; exit 77; }
[ -x "$binary" ] || { echo "there is no program with an emulated GPU"; exit 77; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$sources/support/tiny_training_data.sh" "$folder" || exit 1
cd "$folder" || exit 1
. "$sources/support/shell_checks.sh"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1
export VILA_NCCL=$tests/fake_nccl.so VILA_EMULATED_GPUS=4 VILA_EMULATED_STREAMS=1

# expect CODE 'TEXT' N DEVICE arguments...: runs vila train on N ranks and checks its exit code,
# and that its output contains the text.
expect() {
    timeout 300 mpirun --oversubscribe -n "$3" "$binary" train "${@:5}" --device "$4" --threads 1 \
        >output 2>&1 </dev/null
    local code=$?
    check "exit code $code of: ${*:3}" [ $code -eq "$1" ]
    check "'$2' for: ${*:3}" grep -qF -- "$2" output
}
losses() { grep -oE '"loss":[0-9.]+' "$1/log.jsonl" | cut -d: -f2; }
# near RUN RUN TOLERANCE: compares their losses, step by step.
near() {
    check "$1 learns as $2 does" test "$(losses "$1" | wc -l)" = "$(losses "$2" | wc -l)"
    check "losses of $1 and $2: $(paste -d' ' <(losses "$1") <(losses "$2") | tr '\n' ';')" \
        awk -v most="$3" '{ d = $1 - $2; if (d > most || d < -most) exit 1 }' \
        <(paste -d' ' <(losses "$1") <(losses "$2"))
}
weights=model/llm/model.safetensors
steps=(train.steps=4 train.save_every=2)

# --- every ZeRO stage learns what one rank learns, and all have the same bits ---
expect 0 "finished" 1 cuda lm.toml --out one "${steps[@]}"
for zero in 0 1 2 3; do
    expect 0 "finished" 2 cuda lm.toml --out "zero$zero" "${steps[@]}" train.zero=$zero
    near "zero$zero" one 2e-3
    check "stages 0 and $zero" same zero0/$weights "zero$zero/$weights"
done
check "the ranks are named" grep -q "on 2 ranks, each cuda:0 emulated GPU" output
check "transfers are counted" grep -q '"sent_bytes":[1-9]' zero1/log.jsonl
expect 0 "finished" 2 cuda lm.toml --out apart "${steps[@]}" train.zero=2 train.overlap=false
check "sums beside backward have the same bits" same zero0/$weights apart/$weights
expect 0 "finished" 2 cpu lm.toml --out on-cpu "${steps[@]}" train.zero=2
near zero2 on-cpu 2e-3
expect 0 "finished" 2 cuda lm.toml --out bf --dtype bf16 train.steps=2 train.zero=3

# --- rank invariance: the bytes do not depend on ranks and stages ---
for job in 1:0 2:1 3:3; do
    expect 0 "finished" "${job%:*}" cuda lm.toml --out "same$job" "${steps[@]}" train.rank_invariant=true \
        "train.zero=${job#*:}"
    check "$job: the weights of one rank" same same1:0/$weights "same$job/$weights"
done

# --- a run resumes with other ranks, another stage and another device ---
for job in 1:cuda:0 4:cuda:3 2:cpu:1 2:cuda:2; do
    IFS=: read -r n device zero <<<"$job"
    rm -rf moved
    cp -r zero3 moved
    rm -r moved/model moved/checkpoints/step-00000004
    expect 0 "from step 2" "$n" "$device" lm.toml --out moved "${steps[@]}" "train.zero=$zero"
    near moved one 4e-3
done
check "the same ranks resume with the same bits" same zero2/$weights moved/$weights
check "every byte verifies" "$cpu" inspect --verify moved/checkpoints/step-00000004
expect 0 "finished" 2 cuda lm.toml --out async "${steps[@]}" train.zero=2 train.async_save=true train.save_every=1
check "saving in the background changes nothing" same zero2/$weights async/$weights

# --- images on some ranks only; image-text pairs, for which all ranks gather embeddings ---
expect 0 "finished" 1 cuda lm.toml --out lm train.steps=2
expect 0 "finished" 2 cuda align.toml --out align train.steps=2 train.zero=3
expect 0 "finished" 1 cuda align.toml --out align1 train.steps=2
near align align1 2e-3
expect 0 "finished" 2 cuda clip.toml --out clip train.steps=3 train.zero=1
expect 0 "finished" 1 cuda clip.toml --out clip1 train.steps=3
near clip clip1 2e-3

# --- an error is reported once for all ranks ---
export VILA_NCCL=libabsent-nccl.so
expect 1 "NCCL cannot be opened" 2 cuda lm.toml --out refused
check "the line says what to do" grep -q "name its file with VILA_NCCL, or use --device cpu" output
check "one line" [ "$(grep -c 'vila train:' output)" -eq 1 ]
export VILA_NCCL=$tests/fake_nccl.so
VILA_FAKE_NCCL_VERSION=2604 expect 1 "NCCL 2604: expected 2700 or later" 2 cuda lm.toml --out refused
VILA_FAKE_NCCL_BREAK=9 expect 75 "rank 1: [nccl] remote process exited or there was a network error (step " \
    2 cuda lm.toml --out broken
VILA_EMULATED_GPUS=2 expect 1 "this machine has GPUs 0 to 1; each of the 3 ranks on this machine needs its own GPU" \
    3 cuda lm.toml --out refused
check "the rank is named" grep -q "rank 2: --device cuda:2" output
timeout 60 mpirun --oversubscribe -n 1 "$binary" train lm.toml --out mixed --device cpu : \
    -n 1 "$binary" train lm.toml --out mixed --device cuda:0 >output 2>&1
check "devices that differ" grep -q "the ranks disagree on the --device: rank 0 has 'cpu', rank 1 has 'cuda'" output

finish
