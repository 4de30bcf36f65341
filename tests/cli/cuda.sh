#!/bin/bash
# Tests `--device cuda` of every command: its message on a machine without a usable GPU, and, on the
# program with an emulated GPU (tests/vila_emulated), that it computes what the CPU computes.
#   tests/cli/cuda.sh BINARY
set -u
tests=$(cd "$(dirname "$0")/.." && pwd)
binary=$(realpath "$1")
emulated=$(dirname "$(dirname "$binary")")/tests/vila_emulated
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$tests/support/tiny_training_data.sh" "$folder" || exit 1
cd "$folder" || exit 1
. "$tests/support/shell_checks.sh"
expect() { run_expect "$@"; }

for stage in lm align sft; do
    expect 0 "finished" train $stage.toml --out $stage --threads 1
done
model=sft/model
echo '{"id": "a", "prompt": "<image>\nwhat colour is it?", "images": ["images/red.bmp"], "target": "it is red"}' \
    >requests.jsonl
ask=(generate --model $model --max-tokens 6 --prompt "what colour is it?" --image images/red.bmp)

# --- no GPU ---
expect 2 "expected cpu, cuda or cuda:N" "${ask[@]}" --device gpu
expect 2 "expected cpu, cuda or cuda:N" "${ask[@]}" --device cuda:x
if ! "$binary" "${ask[@]}" --device cuda:0 >/dev/null 2>&1; then
    refused() {  # arguments...
        expect 1 "use --device cpu" "$@"
        check "one line: $*" [ "$(wc -l <output)" -eq 1 ]
    }
    refused "${ask[@]}" --device cuda
    grep -qE 'this build has no CUDA|this machine has no NVIDIA driver|the NVIDIA driver' output
    check "the line says what is missing" [ $? -eq 0 ]
    refused train lm.toml --out refused --device cuda
    refused chat --model $model --device cuda
    refused score --model $model --input requests.jsonl --output scores.jsonl --device cuda
    refused preprocess --model $model images/red.bmp --output pixels.safetensors --device cuda
    refused bench gemm --device cuda
fi

# --- the emulated GPU ---
if [ -x "$emulated" ]; then
    cpu=$binary
    expect 0 "" "${ask[@]}"
    answer=$(cat output)
    expect 0 "" score --model $model --input requests.jsonl --output cpu.jsonl
    binary=$emulated
    for bench in gemm attention norms train-step decode; do
        expect 0 "% of the" bench $bench --device cuda --small --repetitions 2
    done
    check "decoding beside the copy" grep -q 'a token, recorded .* % of the copy' output
    expect 0 '"share_of_limit":' bench --device cuda --small --repetitions 1 --json
    check "five benches" [ "$(wc -l <output)" -eq 5 ]
    expect 1 "bench tokenize measures the CPU: use --device cpu" bench tokenize --device cuda --small
    expect 0 "" "${ask[@]}" --device cuda:0 --dtype bf16
    expect 1 "--device cuda:7: this machine has GPUs 0 to 0" "${ask[@]}" --device cuda:7
    expect 0 "" "${ask[@]}" --device cuda
    check "the GPU answers '$(cat output)', the CPU '$answer'" [ "$(cat output)" = "$answer" ]
    expect 0 "" score --model $model --input requests.jsonl --output gpu.jsonl --device cuda
    logprob() { grep -oE '"target_logprob":-?[0-9]+\.[0-9]{3}' "$1"; }
    check "scores $(logprob cpu.jsonl) and $(logprob gpu.jsonl)" [ "$(logprob cpu.jsonl)" = "$(logprob gpu.jsonl)" ]
    for device in cpu cuda; do
        expect 0 "" preprocess --model $model images/red.bmp --output $device.safetensors --device $device
        expect 0 "finished" train sft.toml --out trained-$device --device $device --threads 1 train.steps=3
    done
    check "the same pixels" same cpu.safetensors cuda.safetensors
    losses() { grep -oE '"loss":[0-9]+\.[0-9]{4}' "$1/log.jsonl"; }
    check "losses: cpu $(losses trained-cpu), cuda $(losses trained-cuda)" \
        [ "$(losses trained-cpu)" = "$(losses trained-cuda)" ]
    expect 0 "finished" train sft.toml --out trained-cuda --device cuda train.steps=3
    binary=$cpu
fi
finish
