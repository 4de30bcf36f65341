#!/bin/bash
# Tests the commands that use a trained model, as a user runs them: generate, chat, score, eval,
# tokenize, preprocess, inspect, data and report. Checks their output, and that every kind of bad input
# gives one clear line.
#   tests/cli/use.sh BINARY
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
expect() { run_expect "$@"; }
fails() {  # TEXT arguments...: exit code 1 and a single line
    expect 1 "$@"
    check "one line: ${*:2}" [ "$(wc -l <output)" -eq 1 ]
}
output_is() { check "output '$(cat output)' instead of '$1'" [ "$(cat output)" = "$1" ]; }

# --- generate ---
ask=(generate --model $model --max-tokens 8)
expect 0 "" "${ask[@]}" --image images/red.bmp --prompt "what colour is it?" --threads 1
answer=$(cat output)
expect 0 "" "${ask[@]}" --image images/red.bmp --prompt "what colour is it?" --threads 2
output_is "$answer"
expect 0 '"ids":[' "${ask[@]}" --image images/red.bmp --prompt "what colour is it?" --json
expect 0 '"prompt_positions":' "${ask[@]}" --prompt "<image> and <image>" --image images/red.bmp --image images/blue.bmp --raw --json
expect 0 "" "${ask[@]}" --prompt hi --temperature 1 --seed 5
sampled=$(cat output)
expect 0 "" "${ask[@]}" --prompt hi --temperature 1 --seed 5
output_is "$sampled"
long=$("$binary" "${ask[@]}" --prompt hi --min-tokens 8 2>&1)
first=${long:0:2}
expect 0 "" "${ask[@]}" --prompt hi --min-tokens 8 --stop "${long:2:2}"
output_is "$first"
expect 2 "--repetition-penalty" "${ask[@]}" --prompt hi --repetition-penalty -1
printf 'hello\n/image images/red.bmp\nwhat colour is it?\n/reset\n/exit\n' |
    "$binary" chat --model $model --max-tokens 4 >output 2>&1
check "chat exits with code 0" [ $? -eq 0 ]

expect 0 '"prompt_positions":' "${ask[@]}" --video images --frames 3 --prompt "which colours?" --json
three=$(sed -E 's/.*"prompt_positions":([0-9]+).*/\1/' output)
expect 0 "" "${ask[@]}" --video images --frames 2 --prompt "which colours?" --json
check "a frame takes the tokens of an image and a line break" [ $((three - $(sed -E 's/.*"prompt_positions":([0-9]+).*/\1/' output))) -eq 5 ]
fails "no such video file or folder of frames" "${ask[@]}" --video absent.mp4 --prompt hi
fails "the prompt has 2 <image> placeholder(s) but 1 image(s) were given" "${ask[@]}" --image images/red.bmp --prompt "<image><image>?"
fails "not an image that can be read" "${ask[@]}" --image text.txt --prompt hi
fails "absent.png" "${ask[@]}" --image absent.png --prompt hi
: >empty.png
fails "empty.png" "${ask[@]}" --image empty.png --prompt hi
head -c 100 images/red.bmp >cut.bmp
fails "cut.bmp" "${ask[@]}" --image cut.bmp --prompt hi
fails "the model has 256" "${ask[@]}" --prompt "$(yes hello | head -n 300 | tr '\n' ' ')"
fails "lower --max-tokens" generate --model $model --prompt hi --max-tokens 100000
fails "no vision tower" generate --model lm/model --prompt hi --image images/red.bmp
fails "absent: not a model directory" generate --model absent --prompt hi
fails "sft: not a model directory: it is a run: give sft/model" generate --model sft --prompt hi
step=$(echo sft/checkpoints/step-*)
fails "it is a checkpoint of a run: write its model with \`vila export $step DIR\`" generate --model "$step" --prompt hi
expect 2 "--prompt is required" generate --model $model
expect 2 "did you mean --prompt" generate --model $model --promt hi

# --- several requests in a batch ---
cat >many.jsonl <<'END'
{"id": "a", "messages": [{"role": "user", "content": "what colour is it?"}], "images": ["images/red.bmp"]}
{"id": 2, "prompt": "hello, <image> and <image>: what colours are there?", "images": ["images/red.bmp", "images/blue.bmp"]}
{"id": "c", "prompt": "hi"}
END
many=(generate --model $model --input many.jsonl --max-tokens 24 --temperature 1 --seed 4)
expect 0 '"id":"a"' "${many[@]}" --batch 3
cp output together
check "one answer per request, in order" [ "$(grep -o '"id":"[^"]*"' together | tr -d '\n')" = '"id":"a""id":"2""id":"c"' ]
expect 0 "" "${many[@]}" --batch 1
check "an answer does not depend on the others of its batch" cmp -s output together
expect 0 "" generate --model $model --max-tokens 24 --temperature 1 --seed 4 --image images/red.bmp --prompt "what colour is it?" --json
check "--input and --prompt give the same answer" [ "$(grep -o '"ids":[^]]*' output)" = "$(head -n 1 together | grep -o '"ids":[^]]*')" ]
expect 2 "--prompt is required, or --input, and not both" "${many[@]}" --prompt hi
expect 2 "each request gives its own images" "${many[@]}" --image images/red.bmp
echo '{"id": 1}' >many.bad
fails "many.bad line 1" generate --model $model --input many.bad
# A target is for vila score, and a prompt that is null counts as absent.
head -n 1 many.jsonl | sed 's/"id"/"prompt": null, "target": "it is red", "id"/' >asked.again
expect 0 "" generate --model $model --input asked.again --max-tokens 24 --temperature 1 --seed 4
check "the target and null are not read" cmp -s output <(head -n 1 together)
echo '{"id": "a", "prompt": "hi", "max_tokens": 3}' >many.bad
fails "many.bad line 1: field \"max_tokens\": settings of a request are not read" generate --model $model --input many.bad
echo '{"id": [], "prompt": "hi"}' >many.bad
fails "many.bad line 1: field \"id\": expected a text or an integer" score --model $model --input many.bad --output -
expect 2 "--prompt: expected text in UTF-8" generate --model $model --prompt "$(printf 'x\xff')"
fails "/dev/zero: a device; expected a file" generate --model $model --prompt hi --template /dev/zero
echo '{"prompt": "hi"}' >many.bad
fails "many.bad line 1: " generate --model $model --input many.bad
echo '{"id": 1, "prompt": "hi"}' >many.bad
fails "many.bad line 1: the prompt takes" generate --model $model --input many.bad --max-tokens 100000

# --- chat templates: a language model alone names none ---
cp -r $model/llm alone
positions() { sed -nE 's/.*"prompt_positions":([0-9]+).*/\1/p' output; }
expect 0 "the model has no chat template: the text goes to it as it is" generate --model alone --prompt hi --max-tokens 1 --json
short=$(positions)
expect 0 "" generate --model alone --prompt "hi, what is red in here?" --max-tokens 1 --json
check "a longer question takes more positions" [ "$(positions)" -gt "$short" ]
expect 0 "" generate --model alone --prompt "hi" --system "Be brief." --max-tokens 1 --json
check "a system message takes positions" [ "$(positions)" -gt "$short" ]
expect 0 "" generate --model alone --prompt hi --template vicuna_v1 --max-tokens 1 --json
vicuna=$(positions)
echo '{% for m in messages %}{{ m.role }}: {{ m.content }}{% endfor %}' >roles.jinja
expect 0 "" generate --model alone --prompt hi --template roles.jinja --max-tokens 1 --json
check "a template from a file" [ "$(positions)" -gt 0 -a "$(positions)" -lt "$vicuna" ]
own=$(positions)
cp roles.jinja alone/chat_template.jinja
expect 0 "alone/chat_template.jinja" inspect alone
expect 0 "" generate --model alone --prompt hi --max-tokens 1 --json
check "the template beside the tokenizer is used" [ "$(positions)" = "$own" ]
printf 'hello\n/reset\nagain\n' | "$binary" chat --model alone --system "Be brief." --max-tokens 2 >output 2>&1
check "chat with a published template" [ $? -eq 0 ]
echo '{{ messages[0].content }}{{ raise_exception("only one turn") }}' >alone/chat_template.jinja
fails "line 1: the template refuses the conversation: only one turn" generate --model alone --prompt hi
echo '{% if %}' >alone/chat_template.jinja
fails "alone/chat_template.jinja line 1: expected an expression" generate --model alone --prompt hi
# A template that cannot be used does not matter where it is not used.
expect 0 "" generate --model alone --prompt hi --max-tokens 1 --raw
expect 0 "" generate --model alone --prompt hi --max-tokens 1 --template roles.jinja
echo '{% if %}' >broken.jinja
fails "generate: broken.jinja line 1: expected an expression" generate --model $model --prompt hi --template broken.jinja
fails "no chat template \"absent\"" generate --model $model --prompt hi --template absent
expect 2 "--raw uses no chat template" generate --model $model --prompt hi --raw --template roles.jinja
echo '{{ messages[0].content }}' >first.jinja
cat >moves.jinja <<'END'
{% for m in messages %}{% for p in m.content %}{% if p.type == 'image' %}<image>{% endif %}{% endfor %}
{% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}{% endif %}{% endfor %}{% endfor %}
END
expect 0 "" generate --model $model --image images/red.bmp --prompt "what is in <image> here?" --template moves.jinja --max-tokens 1
check "no warning of a template that moves the image: $(cat output)" [ "$(grep -c "chat template" output)" -eq 0 ]
expect 0 "first.jinja: the chat template changes the text of the question" generate --model alone --prompt hi --max-tokens 1 \
    --template first.jinja --system "be brief"
rm alone/chat_template.jinja
cat >asked.jsonl <<'END'
{"id": "own", "messages": [{"role": "system", "content": "of its own"}, {"role": "user", "content": "hi"}]}
{"id": "none", "messages": [{"role": "user", "content": "hi"}]}
{"id": "raw", "prompt": "hi"}
END
scored() { "$binary" score --model alone --input asked.jsonl --output scored.jsonl "$@" >output 2>&1 &&
    sed -E 's/.*"input_ids":\[([^]]*)\].*/\1/' scored.jsonl; }
scored >plain.ids
scored --system "Be brief." >system.ids
check "--system of score is for conversations that have none" \
    [ "$(diff plain.ids system.ids | grep -c '^>')" -eq 1 -a "$(sed -n 1p plain.ids)" = "$(sed -n 1p system.ids)" ]
scored --template vicuna_v1 >vicuna.ids
check "--template of score is for conversations" \
    [ "$(diff plain.ids vicuna.ids | grep -c '^>')" -eq 2 -a "$(sed -n 3p plain.ids)" = "$(sed -n 3p vicuna.ids)" ]
expect 0 "" generate --model alone --input asked.jsonl --template vicuna_v1 --system "Be brief." --max-tokens 1
# A template that ends answers with a word that this model says.
turns='{% for m in messages %}{{ m.content }}{% if m.role == "assistant" %}WORD{% endif %}{% endfor %}'
echo "${turns/WORD/}" >endless.jinja
expect 0 "" "${ask[@]}" --prompt hi --template endless.jinja
endless=$(cat output)
word=$(grep -oE '[a-z]{2,}' output | tail -n 1)
echo "${turns/WORD/$word}" >ends.jinja
expect 0 "" "${ask[@]}" --prompt hi --template ends.jinja
check "an answer ends before the word '$word' of '$endless'" [ -n "$word" -a "$(cat output)" = "${endless%%"$word"*}" ]
# plain keeps images and drops the question.
fails "the chat template plain passes on the images, not the text of the question" generate --model alone --prompt hi --template plain
expect 0 "the chat template plain passes on the images" "${ask[@]}" --prompt hi --image images/red.bmp --template plain

# --- damaged models, and parts that do not fit ---
cp -r $model cut
head -c 3000 $model/llm/model.safetensors >cut/llm/model.safetensors
fails "cut/llm/model.safetensors" generate --model cut --prompt hi
cp -r $model misfit
sed -i -E 's/"intermediate_size": *48/"intermediate_size": 64/' misfit/llm/config.json
fails "expected (64, 32), got (48, 32)" generate --model misfit --prompt hi
cp -r $model parts
sed -i -E 's/"hidden_size": *32/"hidden_size": 64/' parts/llm/config.json
fails "the parts do not fit" generate --model parts --prompt hi
cp -r $model headless
echo '{' >headless/llm/config.json
fails "headless/llm/config.json" generate --model headless --prompt hi

# --- score ---
echo '{"id": "a", "prompt": "<image>hi", "images": ["images/red.bmp"], "target": "red"}' >requests.jsonl
expect 0 "" score --model $model --input requests.jsonl --output answers.jsonl --dump dump.safetensors
expect 0 "" score --model $model --input requests.jsonl --output answers.jsonl --dump dump.safetensors --dtype bf16
expect 0 "" score --model $model --input requests.jsonl --output answers.jsonl --dump dump.safetensors
check "an image has id -200" grep -q '"input_ids":\[0,-200,' answers.jsonl
check "a target has a log probability" grep -q '"target_logprob":-[0-9]' answers.jsonl
expect 0 "a.image_features" inspect dump.safetensors
check "logits of every position" grep -qE 'a\.logits +F32 +\([0-9]+, 320\)' output
cp requests.jsonl bad.jsonl
echo '{"id": "b"' >>bad.jsonl
fails "bad.jsonl line 2" score --model $model --input bad.jsonl --output bad.out
check "a failed score leaves no file" [ ! -e bad.out ]

parts='[{"type": "text", "text": "what colour is it?"}, {"type": "image_url", "image_url": {"url": "images/red.bmp"}}]'
echo "{\"id\": \"a\", \"messages\": [{\"role\": \"user\", \"content\": $parts}], \"images\": null, \"target\": null}" >parts.jsonl
expect 0 "" score --model $model --input parts.jsonl --output parts.out
echo '{"id": "a", "messages": [{"role": "user", "content": "what colour is it? <image>"}], "images": ["images/red.bmp"]}' >placeholder.jsonl
expect 0 "" score --model $model --input placeholder.jsonl --output placeholder.out
check "parts of a message are read as text with placeholders" cmp -s parts.out placeholder.out
echo '{"id": "a", "messages": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "hi"}]}], "images": ["images/red.bmp"]}' >unnamed.jsonl
expect 0 "" score --model $model --input unnamed.jsonl --output unnamed.out
echo '{"id": "a", "messages": [{"role": "user", "content": [{"type": "audio"}]}]}' >audio.jsonl
fails 'audio.jsonl line 1: a part of type "audio": expected text, image_url or image' score --model $model --input audio.jsonl --output none.out
echo '{"id": "a", "messages": [{"role": "user", "content": [{"type": "image", "url": "https://a/b.jpg"}]}]}' >address.jsonl
fails "https://a/b.jpg is an address" score --model $model --input address.jsonl --output none.out
# An image inside the request gives what the same image in a file gives.
url="data:image/bmp;base64,$(base64 -w 0 images/red.bmp)"
sed "s#images/red.bmp#$url#" requests.jsonl >inside.jsonl
expect 0 "" score --model $model --input inside.jsonl --output inside.out
check "an image in the request" cmp inside.out answers.jsonl
sed "s#images/red.bmp#data:image/bmp,abc#" requests.jsonl >wrong.jsonl
fails "wrong.jsonl line 1: the image data:image/bmp,abc...: expected data:image/TYPE;base64, and the data" \
    score --model $model --input wrong.jsonl --output none.out
sed "s#images/red.bmp#data:image/bmp;base64,*#" requests.jsonl >wrong.jsonl
fails "wrong.jsonl line 1: the image data:image/bmp;base64: " score --model $model --input wrong.jsonl --output none.out
sed "s#images/red.bmp#https://example.com/a.jpg#" requests.jsonl >wrong.jsonl
fails "wrong.jsonl line 1: the image https://example.com/a.jpg is an address" \
    score --model $model --input wrong.jsonl --output none.out
printf 'PK\003\004' >requests.zip
fails "requests.zip is a zip archive: unpack it" score --model $model --input requests.zip --output none.out

# --- eval ---
shot='{"image": "blue.bmp", "text": "what colour is it?", "answer": "it is blue"}'
echo '{"question_id": "q", "image": "red.bmp", "text": "what colour is it?", "answer": "it is red",' \
    "\"choices\": [\"it is red\", \"it is blue\"], \"shots\": [$shot]}" >questions.jsonl
for task in exact choice vqa caption; do
    expect 0 "over 1 questions" eval $task --model $model --data questions.jsonl --images images --shots 1
done
expect 0 "accuracy" eval exact --model $model --data questions.jsonl --images images --blind
echo '{"question_id": "q", "text": "It is red."}' >predictions.jsonl
expect 0 "accuracy 1.0000 over 1 questions" eval exact --predictions predictions.jsonl --annotations questions.jsonl
echo '{"question_id": null, "image": null, "text": "hi", "answer": "x", "choices": NaN, "shots": null}' >nulls.jsonl
expect 0 "over 1 questions" eval exact --model $model --data nulls.jsonl
echo '{"text": "what colour?", "answer": "x", "images": ["nowhere.png"]}' >plural.bad
fails "nowhere.png" eval exact --model $model --data plural.bad --images images
echo '{"text": "hi", "answer": "x", "image": ""}' >nameless.bad
fails "nameless.bad line 1: the name of an image is empty" eval exact --model $model --data nameless.bad
echo '{"text": "hi", "answer": {}}' >typed.bad
fails "typed.bad line 1: field answer: expected a text or a list of texts, got {}" eval exact --model $model --data typed.bad
echo '{"text": "hi", "answer": "z", "choices": ["x", "y"]}' >choices.bad
fails "choices.bad line 1: none of the \"choices\" is the \"answer\"" eval text-choice --model $model --data choices.bad
{ cat predictions.jsonl; cat predictions.jsonl; } >twice.jsonl
fails "twice.jsonl line 2: a second prediction for question_id q" \
    eval exact --predictions twice.jsonl --annotations questions.jsonl
echo "{\"text\": \"hi\", \"answer\": \"x\", \"shots\": [{\"text\": \"hi\"}]}" >shots.bad
fails "shots.bad line 1: a question or a demonstration has no \"answer\"" eval exact --model $model --data shots.bad --shots 1
fails "has 1 demonstrations" eval exact --model $model --data questions.jsonl --images images --shots 2
fails "text.txt line 1" eval exact --model $model --data text.txt
: >none.jsonl
fails "none.jsonl" eval exact --model $model --data none.jsonl
expect 2 "did you mean exact?" eval exat --model $model --data questions.jsonl --images images

# --- bench generate ---
expect 0 "of the stream read" bench generate --model $model --image images/red.bmp --max-tokens 2
expect 0 '"prompt_positions":' bench generate --model $model --max-tokens 1 --json
expect 2 "bench generate: --model DIR is required" bench generate
expect 0 "limit, tokens/s" bench decode-batch --model $model --max-tokens 2 --repetitions 1

# --- tokenize, preprocess ---
echo "the red square" | "$binary" tokenize --model $model >ids 2>&1
"$binary" tokenize --decode --model $model <ids >output 2>&1
output_is '"the red square"'
echo '"the red\nsquare"' | "$binary" tokenize --json --model $model >ids 2>&1
"$binary" tokenize --decode --model $model <ids >output 2>&1
output_is '"the red\nsquare"'
echo 'the red square' | "$binary" tokenize --json --model $model >output 2>&1
output_is 'vila tokenize: standard input line 1: not valid JSON: expected a value, at line 1, column 1'
expect 0 "" preprocess images/red.bmp images/blue.bmp --model $model --output pixels.safetensors
expect 0 "(2, 3, 8, 8)" inspect pixels.safetensors
expect 0 "" preprocess images/red.bmp --model $model/vision_tower --output tower.safetensors
expect 0 "(1, 3, 8, 8)" inspect tower.safetensors
fails "vision_tower: holds only a vision tower; this needs a language model too" generate --model $model/vision_tower --prompt hi
fails "vision_tower: holds only a vision tower; " convert $model/vision_tower converted
fails "text.txt" preprocess text.txt --model $model --output none.safetensors
check "a failed preprocess leaves no file" [ ! -e none.safetensors ]

# --- inspect, data ---
expect 0 "mlp2x_gelu, 4 features -> 4 tokens" inspect $model
expect 0 "every byte agrees with its hash" inspect sft/checkpoints/step-* --verify
cp -r $model broken
sed -i '/"chat_template"/d' broken/config.json
echo '{% if %}' >broken/llm/chat_template.jinja
expect 0 "chat template     cannot be used: broken/llm/chat_template.jinja line 1: " inspect broken
check "and the rest is described" grep -q "^parameters" output
fails "broken/llm/chat_template.jinja line 1: " generate --model broken --prompt hi
expect 0 "vision tower      CLIPVisionModel: 3 layers, width 16, images 8 px, patches 4 px" inspect $model/vision_tower
expect 0 "projector         mlp2x_gelu, width 16 -> 32, token order" inspect $model/mm_projector
check "with its parameters" grep -qE "^parameters +1600$" output
sed -i '/hidden_size"/d' broken/mm_projector/config.json
expect 0 "projector         mlp2x_gelu, token order" inspect broken/mm_projector
check "its parameters are counted" grep -qE "^parameters +1600$" output
cp pixels.safetensors pixels.st
expect 0 "(2, 3, 8, 8)" inspect pixels.st
fails "text.txt: expected a model directory, a checkpoint, a safetensors file, or a dataset" inspect text.txt
expect 0 "vision tower " inspect $model/vision_tower
check "with its parameters" grep -qE "^parameters +[0-9]+$" output

# --- links to nothing are errors, not absent files ---
for file in llm/tokenizer_config.json llm/chat_template.jinja vision_tower/processor_config.json llm/model.safetensors; do
    rm -rf linked
    cp -r $model linked
    ln -sf ../../blobs/gone linked/$file
    fails "linked/$file: a symbolic link to ../../blobs/gone, which is missing" generate --model linked --image images/red.bmp --prompt hi
done
ln -sf loop.json loop.json
fails "loop.json: cannot be looked up: Too many levels of symbolic links" data stats loop.json --format llava --model $model
ln -s nowhere link.png
fails "link.png" generate --model $model --image link.png --prompt hi

# --- messages have at most 300 characters ---
long=$(printf 'x%.0s' $(seq 2000))
fails_briefly() {
    expect "$@"
    check "short: ${*:2}" [ "$(head -n 1 output | wc -c)" -le 301 ]
}
fails_briefly 1 "xxx'; did you mean 'train." train lm.toml --out brief "train.$long=1"
fails_briefly 1 "File name too long" inspect "$long"
fails_briefly 2 "unknown option --xxx" inspect "--$long"
fails_briefly 2 "unknown command 'xxx" "$long"
echo "{\"id\": \"a\", \"messages\": [{\"role\": \"$long\", \"content\": \"hi\"}]}" >role.jsonl
fails_briefly 1 "expected system, user or assistant" generate --model $model --input role.jsonl
cp -r sft/checkpoints/step-* torn
printf x | dd of=torn/rank-00000.safetensors bs=1 seek=9000 conv=notrunc 2>dd.log
fails "torn" inspect torn --verify
expect 0 "image   images/white.bmp" inspect llava.json --format llava --images images --model $model --index 3
check "targets are marked" grep -q "target .*white and black" output
fails "--index 99 is out of range" inspect llava.json --format llava --images images --model $model --index 99
expect 0 "18 samples" data stats llava.json --format llava --images images --model $model
expect 2 "--out is required" data make-world

# --- report ---
expect 0 "sft/report.html" report sft --threads 1
check "loss curves" grep -q "<svg" sft/report.html
check "the training data with the model's answers" grep -q "Training data of llava" sft/report.html
check "pictures" grep -q "data:image/png;base64" sft/report.html
check "the report loads nothing from other sites" [ "$(grep -cE '<script|src="http|href="http' sft/report.html)" -eq 0 ]
mv llava.json moved.json
expect 0 "no samples: " report sft
check "the report gives the reason for missing samples" grep -q "llava.json" output
fails "holds neither log.jsonl nor" report images
fails "absent: does not exist" report absent
fails "absent/step-1: does not exist" export absent/step-1 exported

# --- options that a mode would ignore are refused ---
ignored() {  # OPTION arguments...
    expect 2 "$1 has no effect" "${@:2}"
    check "one line and a hint: ${*:2}" [ "$(wc -l <output)" -eq 2 ]
}
ignored --batch generate --model $model --prompt hi --batch 2
ignored --json generate --model $model --input many.jsonl --json
ignored --frames generate --model $model --prompt hi --frames=2
ignored --top-p generate --model $model --prompt hi --top-p 0.9
ignored --top-k chat --model $model --top-k 3
ignored --max-tokens eval choice --model $model --data questions.jsonl --max-tokens 3
ignored --batch eval choice --model $model --data questions.jsonl --batch 3
expect 2 "--top-p: expected a number above 0" generate --model $model --prompt hi --temperature 1 --top-p 0
expect 2 "--min-tokens 9 is more than --max-tokens, 3" generate --model $model --prompt hi --min-tokens 9 --max-tokens 3
ignored --annotations eval exact --model $model --data questions.jsonl --annotations questions.jsonl
for option in "--blind" "--batch 2" "--data questions.jsonl" "--images images"; do
    # shellcheck disable=SC2086
    ignored "${option%% *}" eval exact --predictions predictions.jsonl --annotations questions.jsonl $option
done
ignored --verify inspect $model --verify
ignored --index inspect $model --index 3
ignored --model inspect pixels.safetensors --model $model
ignored --special tokenize --decode --special --model $model
ignored --samples report images --samples 3
ignored --image-token convert $model converted --image-token 3
ignored --text bench gemm --text text.txt
ignored --prompt bench --prompt hi
ignored --small bench gemm --small
ignored --images plan lm.toml --images 2

finish
