#!/bin/bash
# Tests that sizes are bounded: numbers out of range on the command line and in files, pipes and devices
# in place of files, long names in messages, and the memory of `vila inspect`.
#   tests/cli/bounds.sh BINARY
set -u
tests=$(cd "$(dirname "$0")/.." && pwd)
binary=$(realpath "$1")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$tests/support/tiny_training_data.sh" "$folder" || exit 1
cd "$folder" || exit 1
. "$tests/support/shell_checks.sh"

for stage in lm align sft; do
    run_expect 0 "finished" train $stage.toml --out $stage --threads 1
done
model=sft/model
# refused CODE 'TEXT' arguments...: also checks that it is one message, at most 300 bytes long.
refused() {
    run_expect "$@"
    check "one message: ${*:3}" [ "$(grep -c '^vila ' output)" -eq 1 ]
    check "a short message: ${*:3}" [ "$(head -n 1 output | wc -c)" -le 301 ]
    check "no words of a library: ${*:3}" eval "! grep -qE 'json\.exception|std::|vector::|basic_string' output"
}

# --- numbers of options ---
ask=(generate --model $model --prompt hi)
for value in inf nan 1e300 1e999; do
    refused 2 "--temperature" "${ask[@]}" --temperature $value
    refused 2 "--top-p" "${ask[@]}" --top-p $value
done
for value in 4000000000000000000 9223372036854775808 18446744073709551616 1e300 inf -1 5x; do
    refused 2 "--max-tokens" "${ask[@]}" --max-tokens $value
    refused 2 "--batch" generate --model $model --input llava.json --batch $value
    refused 2 "--limit" data stats llava.json --format llava --images images --model $model --limit $value
    refused 2 "--max-length" data check llava.json --format llava --max-length $value
done
for value in -1 18446744073709551616 1e3 inf; do refused 2 "--seed" "${ask[@]}" --seed $value; done
run_expect 0 "" "${ask[@]}" --max-tokens 1 --seed 18446744073709551615
for value in inf 1e300 -1 0; do refused 2 "--scale" data make-world --out w --scale $value; done
refused 2 "--image-size" convert $model big --image-size 4000000000000000000
for value in inf nan 1e300 -1; do refused 2 "--memory-gb" plan lm.toml --memory-gb $value; done
for id in -1 2147483648 4294967301 18446744073709551615; do
    echo "[1, $id]" | "$binary" tokenize --decode --model $model >output 2>&1
    check "token id $id is refused" grep -q "standard input line 1: $id is no token id" output
done

# --- numbers of recipes ---
run_expect 1 "more than 1000 times the 48 records of all sources; lower it" train lm.toml --out batch train.global_batch=16777216
for pair in train.epochs=1e300 train.epochs=inf train.feature_cache_gb=inf train.global_batch=4000000000000000000 \
    train.global_batch=1000000000000 data.max_length=4000000000000000000 train.micro_batch=9223372036854775807; do
    refused 1 "${pair%%=*}: expected" plan lm.toml $pair
    refused 1 "${pair%%=*}: expected" train lm.toml --out none $pair
done
refused 1 "positions: at most 16777216 run together" plan lm.toml train.micro_batch=100000 data.max_length=100000
for stage in lm align sft; do
    run_expect 0 "peak" plan $stage.toml train.rank_invariant=true
    run_expect 0 "peak" plan $stage.toml train.rank_invariant=true train.zero=3 --ranks 3
done
run_expect 0 "largest train.micro_batch" plan lm.toml train.global_batch=16777216 --memory-gb 1000000

# --- what is no file ---
mkfifo pipe
for command in "plan pipe" "generate --model $model --input pipe" "score --model $model --input pipe --output out" \
    "eval exact --data pipe --model $model" "data check pipe --format text" "data check pipe --format pairs" \
    "inspect pipe --format llava --model $model" "generate --model $model --prompt hi --image pipe" \
    "generate --model $model --prompt hi --video pipe" "generate --model $model --prompt hi --template pipe" \
    "preprocess pipe --model $model --output out"; do
    # shellcheck disable=SC2086
    timeout 20 "$binary" $command >output 2>&1 </dev/null
    check "exit code $? of a pipe: $command" [ $? -eq 0 -o "$(grep -c '^vila .*pipe' output)" -eq 1 ]
    check "a pipe without a writer is refused: $command" grep -q '^vila .*pipe' output
done
for file in llm/config.json llm/model.safetensors llm/tokenizer.json vision_tower/preprocessor_config.json; do
    cp -r $model odd
    rm odd/$file && mkfifo odd/$file
    timeout 20 "$binary" generate --model odd --prompt hi --image images/red.bmp --max-tokens 1 >output 2>&1
    check "a pipe as $file" grep -q "^vila generate: .*odd.*regular file" output
    rm -r odd
done
mkdir piped && mkfifo piped/log.jsonl
refused 1 "piped/log.jsonl: not a regular file" report piped
for device in /dev/zero /dev/null; do
    refused 1 "$device" generate --model $model --prompt hi --image $device
    refused 1 "$device" data check $device --format llava
done
refused 1 "/dev/zero: a device; expected a file" generate --model $model --input /dev/zero
(cat lm.toml >pipe) &
run_expect 0 "peak" plan pipe
wait
"$binary" plan <(cat lm.toml) >output 2>&1
check "a pipe of the shell" grep -q "peak" output

# --- long and odd names ---
long=$(printf 'n%.0s' $(seq 200))
mkdir -p "$long/$long"
refused 1 "${long:0:100}" plan "$long/$long/recipe.toml"
check "the end of a long message stays" grep -q "No such file or directory$" output
printf 'stage = "lm"\n"%s" = 1\n' "$(head -c 100000 /dev/zero | tr '\0' k)" >keys.toml
refused 1 "keys.toml:2" plan keys.toml
printf '{"id": "a", "messages": [{"role": "%s", "content": "x"}]}\n' "$(head -c 100000 /dev/zero | tr '\0' r)" >role.jsonl
refused 1 "role.jsonl line 1" score --model $model --input role.jsonl --output out
mkdir logged
echo '{"step": "one", "loss": 1}' >logged/log.jsonl
echo '{"step": 2, "loss": 1}' >>logged/log.jsonl
refused 1 'logged/log.jsonl line 1: field step: expected an integer of at least 0, got "one"' report logged
echo '{"step": 1, "loss": 1e16}' >logged/log.jsonl
echo '{"step": 2, "loss": 10000000000000002}' >>logged/log.jsonl
run_expect 0 "report.html" report logged

# --- the headers of weights are enough to describe a model ---
# A model of 50 million tokens, 12.8 GB, whose files are all hole.
mkdir -p large && sed 's/"vocab_size": 320/"vocab_size": 50000000/' lm/model/llm/config.json >large/config.json
header='{"__metadata__": {}' end=0
while read -r name _ shape _; do
    shape=${shape/(320,/(50000000,}
    bytes=$(($(tr -d '()' <<<"$shape" | sed 's/,/*/g') * 4))
    header+=", \"$name\": {\"dtype\": \"F32\", \"shape\": [$(tr -d '()' <<<"$shape")], \"data_offsets\": [$end, $((end + bytes))]}"
    end=$((end + bytes))
done < <("$binary" inspect lm/model/llm/model.safetensors | sed 's/, /,/g' | grep F32)
header+='}'
{
    for ((i = 0, n = ${#header}; i < 8; ++i, n /= 256)); do printf "\\x$(printf %02x $((n % 256)))"; done
    printf %s "$header"
} >large/model.safetensors
cp lm/model/llm/tokenizer* large/
truncate -s $((8 + ${#header} + end)) large/model.safetensors
(ulimit -d 500000 && "$binary" inspect large) >output 2>&1
check "inspect needs no memory for the weights" grep -qE '^parameters +llm 3\.20 G' output
truncate -s -4 large/model.safetensors
refused 1 "large/model.safetensors" inspect large

# --- programs that read videos ---
mkdir bin
for name in ffprobe ffmpeg; do
    printf '#!/bin/sh\necho "%s $*" >>%s/calls\necho 1.0\n' $name "$folder" >bin/$name
    chmod +x bin/$name
done
echo video >./-x
PATH=$folder/bin:$PATH run_expect 1 "ffmpeg gave 0 of 2 frames" "${ask[@]}" --video ./-x --frames 2
PATH=$folder/bin:$PATH run_expect 1 "ffmpeg gave 0 of 2 frames" "${ask[@]}" --video=-x --frames 2
check "a name is no option" [ "$(grep -c -- '-i file:-x\|-i file:./-x' calls)" -eq 6 ]
rm bin/ffmpeg
PATH=$folder/bin "$binary" "${ask[@]}" --video ./-x --frames 2 >output 2>&1
check "a missing program is named" grep -q "there is no ffmpeg; install ffmpeg" output
finish
