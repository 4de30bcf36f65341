#!/bin/bash
# --device cuda on an emulated GPU: commands that use a model answer as they do on the CPU; and what
# the program says where it cannot use a GPU.
#   tests/cli_cuda.sh BINARY
set -u
here=$(cd "$(dirname "$0")" && pwd)
cpu_binary=$(realpath "$1")
binary=$(dirname "$cpu_binary")/../tests/vila_emulated
if [ ! -x "$binary" ]; then
    echo "no program with an emulated GPU was built"
    exit 77
fi
binary=$(realpath "$binary")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$here/tiny_training_data.sh" "$folder" || exit 1
cd "$folder" || exit 1
. "$here/shell_checks.sh"
expect() { run_expect "$@"; }

for stage in lm align sft; do
    expect 0 "finished" train $stage.toml --out $stage --threads 1
done
model=sft/model

# Greedy answers are the same tokens.
for prompt in "what colour is it?" "hi"; do
    ask=(generate --model $model --max-tokens 8 --image images/red.bmp --prompt "$prompt")
    expect 0 "" "${ask[@]}" --device cpu
    cp output on_cpu
    expect 0 "" "${ask[@]}" --device cuda
    check "the GPU's answer '$(cat output)' is the CPU's '$(cat on_cpu)'" cmp -s output on_cpu
done
expect 0 "" "${ask[@]}" --device cuda:0 --dtype bf16

# Log-probabilities agree to f32's digits.
cat >requests.jsonl <<'END'
{"id": "a", "prompt": "<image> what colour is it?", "images": ["images/red.bmp"], "target": " red"}
{"id": "b", "prompt": "hello", "target": " there"}
END
for device in cpu cuda; do
    expect 0 "" score --model $model --input requests.jsonl --output $device.jsonl --device $device
    grep -oE '"target_logprob": *-?[0-9.e+-]+' $device.jsonl | grep -oE '[-0-9.e+]+$' >$device.numbers
done
check "two scores" [ "$(wc -l <cuda.numbers)" -eq 2 ]
paste cpu.numbers cuda.numbers >output
check "scores agree" awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > 1e-4) exit 1 }' output

# --- what cannot be done ---
expect 1 "this machine has GPUs 0 to 0" "${ask[@]}" --device cuda:1
expect 1 "training on cuda:0 emulated GPU" train lm.toml --out elsewhere --device cuda
expect 1 "the benches measure the CPU" bench gemm --device cuda
if ! [ -e /dev/nvidiactl ]; then
    binary=$cpu_binary
    expect 1 "use --device cpu" "${ask[@]}" --device cuda
fi
finish
