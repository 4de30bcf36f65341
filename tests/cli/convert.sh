#!/bin/bash
# Tests vila convert as a user runs it: conversion between all layouts, refusals, and that input files
# are never changed.
#   tests/cli/convert.sh BINARY
set -u
tests=$(cd "$(dirname "$0")/.." && pwd)
binary=$(realpath "$1")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
. "$tests/support/shell_checks.sh"
cp -r "$tests/goldens/layouts" layouts
before=$(find layouts -type f -exec cksum {} + | sort)

fails() {  # TEXT arguments...: exit code 1 and a single line
    run_expect 1 "$@"
    check "one line: ${*:2}" [ "$(wc -l <output)" -eq 1 ]
}

# --- round trips ---
for source in llava_hf llava adapter; do
    run_expect 0 "in layout vila" convert layouts/$source $source.vila
    run_expect 0 "in layout llava" convert $source.vila $source.llava --to llava
    run_expect 0 "in layout llava-hf" convert $source.llava $source.hf --to llava-hf --image-token 59
    run_expect 0 "in layout vila" convert $source.hf $source.back --to vila
    for part in llm vision_tower mm_projector; do
        check "$source: $part is the same after a round trip" \
            same $source.vila/$part/model.safetensors $source.back/$part/model.safetensors
    done
done
check "one model in three layouts becomes one file" \
    same llava_hf.hf/model.safetensors adapter.hf/model.safetensors
run_expect 0 "in layout vila" convert layouts/vicuna vicuna --dtype f32
run_expect 0 "in layout vila" convert layouts/vila15 wide --image-size 29 --dtype f16
check "the configuration has the new size" grep -q '"image_size": 29' wide/vision_tower/config.json
check "and the new dtype" grep -q '"torch_dtype": "float16"' wide/vision_tower/config.json

# --- parts that the configuration only names ---
cp -r layouts/llava hub
sed -i 's#../parts/vision_tower#openai/clip-vit-large-patch14-336#' hub/config.json
fails "is not a directory here: put its files into hub/vision_tower" convert hub hub.vila
run_expect 0 "" convert hub hub.vila --vision-tower layouts/parts/vision_tower
check "the tower is the one given" \
    same hub.vila/vision_tower/model.safetensors llava.vila/vision_tower/model.safetensors
cp -r layouts/adapter alone
sed -i 's#"../parts/llm"#"lmsys/vicuna-7b-v1.5"#' alone/config.json
fails "without its language model lmsys/vicuna-7b-v1.5" convert alone alone.vila
run_expect 0 "" convert alone alone.vila --base layouts/parts/llm --vision-tower layouts/parts/vision_tower
check "the language model is the one given" \
    same alone.vila/llm/model.safetensors llava.vila/llm/model.safetensors

# --- refusals ---
fails "cannot hold the projector mlp_downsample" convert layouts/vila15 out --to llava-hf
fails "cannot hold a SigLIP vision tower" convert layouts/vila15 out --to llava
fails "without a vision tower" convert layouts/qwen2 out --to llava
fails "--image-token ID" convert layouts/llava out --to llava-hf
fails "lies inside" convert layouts/llava_hf layouts/llava_hf
fails "lies inside" convert layouts/llava_hf layouts/llava_hf/new
fails "lies inside" convert layouts/llava_hf layouts/new/../llava_hf/new
ln -s layouts/llava_hf link
fails "lies inside" convert layouts/llava_hf link
fails "llava.vila: exists; move it away or choose another name" convert layouts/llava_hf llava.vila
fails "not a model directory" convert absent out
run_expect 2 "--to" convert layouts/llava_hf out --to gguf
run_expect 2 "--dtype" convert layouts/llava_hf out --dtype int4
run_expect 2 "DST" convert layouts/llava_hf
check "a refused conversion leaves no file" [ ! -e out ]
check "no input file has changed" \
    [ "$(find layouts -type f -exec cksum {} + | sort)" = "$before" ]
finish
