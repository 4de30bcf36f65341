#!/bin/bash
# Tests `vila data check`, and training on data with faults: missing pictures, members of tar files
# that are not samples, records that cannot be used.
#   tests/cli/data.sh BINARY
set -u
tests=$(cd "$(dirname "$0")/.." && pwd)
binary=$(realpath "$1")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$tests/support/tiny_training_data.sh" "$folder" || exit 1
cd "$folder" || exit 1
. "$tests/support/shell_checks.sh"
expect() { run_expect "$@"; }

# --- a recipe whose tokenizer is still to be trained ---
expect 0 "text (text, $folder/text.txt): 24 of 24 records usable, 0 images, 0 records cut" data check lm.toml
check "the byte tokenizer is mentioned" grep -q "there is no tokenizer yet" output
check "a line for each source" grep -q "instructions (text-instructions, .*): 24 of 24 records usable" output
expect 0 '"stops":null' data check clip.toml --json
check "all images were found" grep -q '"images":24' output
expect 0 "24 of 24 records usable" data check clip.toml --decode --threads 2
expect 1 "data.sources[0].format" data check lm.toml data.sources[0].format=none
expect 1 "no/such.txt" data check lm.toml data.sources[0].path=no/such.txt

# --- one file ---
pairs=(data check pairs.jsonl --format pairs --images images)
expect 0 "pairs.jsonl (pairs, pairs.jsonl): 24 of 24 records usable, 24 images" "${pairs[@]}"
expect 0 "24 of 24 records usable, 24 images, 0 records cut" "${pairs[@]}" --max-length 4
check "lengths need a tokenizer" grep -q "there is no tokenizer: .* none is cut; --model DIR gives one" output
expect 0 "24 of 24 records usable, 0 images, 0 records cut" data check lm.toml --max-length 4
cp -r images gaps
rm gaps/red.bmp
head -c 60 images/blue.bmp >gaps/blue.bmp
: >gaps/green.bmp
echo "not an image at all" >gaps/white.bmp
gaps=(data check pairs.jsonl --format pairs --images gaps)
expect 1 "12 of 24 records cannot be used, more than the 1 allowed (data.max_bad_share = 0.01, of 100 records): a run would stop" "${gaps[@]}"
expect 1 "bad: 8 records with a missing image: pairs.jsonl:1: gaps/red.bmp is missing or empty; " "${gaps[@]}"
check "what is no image is found by its header" grep -q "bad: 4 records with an image that cannot be read: pairs.jsonl:4: gaps/white.bmp: not an image" output
expect 1 "bad: 8 records with an image that cannot be read" "${gaps[@]}" --decode
expect 0 "left out: 8 records with a missing image" "${gaps[@]}" --missing-image drop-document --max-bad-share 0.5
check "they are not bad then" [ "$(grep -c 'bad: 8' output)" -eq 0 ]
expect 0 "6 of 6 records usable" "${pairs[@]}" --limit 6
expect 1 "has no usable record" data check pairs.jsonl --format pairs --images nowhere
expect 1 "drop-image" "${gaps[@]}" --missing-image drop-image
expect 1 "expected error, drop-image or drop-document" "${gaps[@]}" --missing-image ignore
expect 2 "KEY=VALUE needs a recipe" "${pairs[@]}" data.pack=true
for option in --images --model --missing-image --max-images; do
    expect 2 "$option has no effect on a recipe" data check lm.toml $option 1
done
expect 2 "--max-images has no effect on a format other than mmc4" "${pairs[@]}" --max-images 2
expect 2 "--max-images: expected a number in [1, " data check pairs.jsonl --format mmc4 --max-images 0
expect 0 "vila data check RECIPE" data --help
expect 2 "'vila data stats --help' lists its arguments" data stats pairs.jsonl --format pairs
check "the action is named" grep -q "^vila data stats: --model is required" output
expect 2 "'vila data check --help' lists its arguments" data check
expect 2 "'vila data --help' lists its arguments" data count

# --- a tar file with members that are not part of a sample ---
mkdir tarred
for i in 0 1; do
    cp images/red.bmp tarred/$i.bmp
    printf 'a red square\r\n' >tarred/$i.txt
    printf 'metadata' >tarred/._$i.bmp
done
cp images/red.bmp tarred/lone.bmp
tar -C tarred -cf pairs.tar ./._0.bmp ./0.bmp ./0.txt ./._1.bmp ./1.bmp ./lone.bmp
tar -C tarred -rf pairs.tar ./1.txt 2>/dev/null
expect 0 "left out: 2 members that are no part of a sample: pairs.tar: ./._0.bmp; pairs.tar: ./._1.bmp" \
    data check pairs.tar --format pairs
check "a picture parted from its caption is counted" grep -q "left out: 3 samples without an image or a caption .*: pairs.tar: ./1.bmp; pairs.tar: ./lone.bmp; pairs.tar: ./1.txt" output
check "one pair is left" grep -q "1 of 1 records usable" output

# --- training: dead pictures of documents ---
for i in $(seq 0 19); do
    printf '{"text_list": ["red %s", "blue"], "image_info": [{"image_name": "%s.bmp", "matched_text_index": 0}]}\n' \
        "$i" "$([ $((i % 4)) -eq 0 ] && echo dead || echo yellow)"
done >docs.jsonl
run_expect 0 finished train lm.toml --out lm --threads 1
run_expect 0 finished train align.toml --out align --threads 1
expect 1 "bad: 24 records without a target within max_length" "${pairs[@]}" --model align/model --max-length 4
stats=(data stats pairs.jsonl --format pairs --model align/model)
expect 0 "24 samples, 0 of them without images, 24 cut to max_length" "${stats[@]}" --images images --max-length 9
check "the table is about the cut samples" grep -qE "^positions .* 9$" output
expect 0 "8 records could not be used:" "${stats[@]}" --images gaps
check "with the first reason" grep -q "^  pairs.jsonl:1: gaps/red.bmp is missing or empty" output
expect 1 "pairs.jsonl: has no usable record" "${stats[@]}" --images nowhere
cat >docs.toml <<'RECIPE'
stage = "pretrain"
[model]
init = "align/model"
[[data.sources]]
format = "mmc4"
path = "docs.jsonl"
images = "images"
[data]
max_length = 64
[train]
steps = 12
global_batch = 4
micro_batch = 2
dtype = "f32"
save_every = 5
RECIPE
expect 1 "of 20 records cannot be used, more than the 1 allowed (data.max_bad_share = 0.01, of 100 records); the first: $folder/docs.jsonl:" train docs.toml --out stopped --threads 1
expect 1 "5 of 20 records cannot be used, more than the 1 allowed" data check docs.toml
# `train` and `data check` judge by the same share: that of all records.
expect 0 "" data check docs.toml data.max_bad_share=0.05
expect 0 "finished" train docs.toml --out equal --threads 1 data.max_bad_share=0.05
expect 1 "more than the 4 allowed" data check docs.toml data.max_bad_share=0.04
expect 1 "5 of 20 records cannot be used, more than the 4 allowed" train docs.toml --out fewer --threads 1 data.max_bad_share=0.04
expect 0 "finished" train docs.toml --out tolerant --threads 1 data.max_bad_share=0.3
check "each bad record is reported once in three epochs" [ "$(grep -c 'bad sample .*docs.jsonl:' output)" -eq 5 ]
check "and logged once" [ "$(grep -o '"where"' tolerant/log.jsonl | wc -l)" -eq 5 ]
expect 0 "docs: left out 5 images that are missing: $folder/docs.jsonl:1: dead.bmp" \
    train docs.toml --out fewer-images --threads 1 'data.sources[0].missing_image=drop-image'
expect 0 "docs: left out 5 records with a missing image: $folder/docs.jsonl:1: dead.bmp" \
    train docs.toml --out documents --threads 1 'data.sources[0].missing_image=drop-document'
check "no record is bad then" [ "$(grep -c bad_samples documents/log.jsonl)" -eq 0 ]
expect 0 "15 of 15 records usable" data check docs.toml 'data.sources[0].missing_image=drop-document'

finish
