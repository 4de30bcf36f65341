#!/bin/bash
# Writes a few kilobytes of training data of every kind into a folder: text.txt, instructions.jsonl,
# pairs.jsonl, llava.json, pictures (8 x 8 BMP), and recipes that use them in seconds.
#   tests/support/tiny_training_data.sh FOLDER
set -eu
folder=$1
mkdir -p "$folder/images"

byte() { printf "\\x$(printf %02x "$1")"; }

# Writes an 8 x 8 picture of one color, a 24-bit BMP: a 54-byte header and 192 bytes of pixels.
write_bmp() {  # file blue green red
    {
        printf 'BM\xf6\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00'
        printf '\x08\x00\x00\x00\x08\x00\x00\x00\x01\x00\x18\x00\x00\x00\x00\x00\xc0\x00\x00\x00'
        printf '\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00'
        for _ in $(seq 64); do byte "$2"; byte "$3"; byte "$4"; done
    } >"$1"
}

colors=(red green blue white black yellow)
values=("0 0 255" "0 255 0" "255 0 0" "255 255 255" "0 0 0" "0 255 255")
for i in "${!colors[@]}"; do
    # shellcheck disable=SC2086
    write_bmp "$folder/images/${colors[$i]}.bmp" ${values[$i]}
done

: >"$folder/text.txt"
: >"$folder/instructions.jsonl"
: >"$folder/pairs.jsonl"
for i in $(seq 0 23); do
    colour=${colors[$((i % 6))]} other=${colors[$(((i / 6 + i) % 6))]}
    echo "the $colour square $i is left of the $other circle and the end is $((i * 7 % 5))" \
        >>"$folder/text.txt"
    echo "{\"instruction\": \"what is $i plus $i\", \"output\": \"$((i + i))\"}" \
        >>"$folder/instructions.jsonl"
    echo "{\"image\": \"$colour.bmp\", \"caption\": \"a $colour square number $i\"}" \
        >>"$folder/pairs.jsonl"
done
{
    echo "["
    for i in $(seq 0 17); do
        colour=${colors[$((i % 6))]} other=${colors[$(((i + 1) % 6))]}
        [ "$i" -eq 0 ] || echo ","
        if [ $((i % 3)) -eq 0 ]; then
            printf '{"id": "%s", "image": ["%s.bmp", "%s.bmp"], "conversations": [' \
                "$i" "$colour" "$other"
            printf '{"from": "human", "value": "<image>\\n<image>\\nwhich colours?"}, '
            printf '{"from": "gpt", "value": "%s and %s"}]}' "$colour" "$other"
        else
            printf '{"id": "%s", "image": "%s.bmp", "conversations": [' "$i" "$colour"
            printf '{"from": "human", "value": "<image>\\nwhat colour is it?"}, '
            printf '{"from": "gpt", "value": "it is %s"}]}' "$colour"
        fi
    done
    echo
    echo "]"
} >"$folder/llava.json"

cat >"$folder/lm.toml" <<'RECIPE'
stage = "lm"
[model.llm_config]
hidden_size = 32
intermediate_size = 48
num_hidden_layers = 2
num_attention_heads = 4
num_key_value_heads = 2
max_position_embeddings = 256
[model.tokenizer_config]
vocab_size = 320
[[data.sources]]
format = "text"
path = "text.txt"
weight = 2
[[data.sources]]
format = "text-instructions"
path = "instructions.jsonl"
[data]
max_length = 128
[optimizer]
lr = 1e-2
weight_decay = 0.1
[train]
steps = 12
global_batch = 8
micro_batch = 2
dtype = "f32"
save_every = 5
seed = 3
RECIPE

cat >"$folder/clip.toml" <<'RECIPE'
stage = "clip"
[model.vision_config]
hidden_size = 16
intermediate_size = 32
num_hidden_layers = 2
num_attention_heads = 2
image_size = 8
patch_size = 4
initializer = { linear = "fan_in_normal", position = 0.3 }
[model.preprocessor_config]
image_mean = [0.5, 0.5, 0.5]
image_std = [0.5, 0.5, 0.5]
[model.tokenizer_config]
vocab_size = 300
[[data.sources]]
format = "pairs"
path = "pairs.jsonl"
images = "images"
[data]
max_length = 40
[optimizer]
lr = 5e-3
[train]
steps = 60
global_batch = 6
dtype = "f32"
save_every = 20
RECIPE

cat >"$folder/align.toml" <<'RECIPE'
stage = "align"
[model]
llm = "lm/model"
projector = "mlp2x_gelu"
[model.vision_config]
hidden_size = 16
intermediate_size = 32
num_hidden_layers = 3
num_attention_heads = 2
image_size = 8
patch_size = 4
[[data.sources]]
format = "pairs"
path = "pairs.jsonl"
images = "images"
[data]
max_length = 64
[optimizer]
lr = 1e-2
[train]
steps = 6
global_batch = 6
micro_batch = 2
dtype = "f32"
RECIPE

cat >"$folder/sft.toml" <<'RECIPE'
stage = "sft"
[model]
init = "align/model"
[[data.sources]]
format = "llava"
path = "llava.json"
images = "images"
[[data.sources]]
format = "text-instructions"
path = "instructions.jsonl"
weight = 0.5
[data]
max_length = 256
template = "vicuna_v1"
[optimizer]
lr = 2e-3
[train]
epochs = 1
global_batch = 6
micro_batch = 2
dtype = "f32"
RECIPE
