#!/bin/bash
# Tests vila train as a user runs it: exit codes and messages, the files of a run, resuming, signals, a
# full disk, frozen parts, and results that do not depend on threads or caches.
#   tests/cli/train.sh BINARY
set -u
tests=$(cd "$(dirname "$0")/.." && pwd)
binary=$(realpath "$1")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$tests/support/tiny_training_data.sh" "$folder" || exit 1
cd "$folder" || exit 1
. "$tests/support/shell_checks.sh"

train() { "$binary" train "$@" >output 2>&1; }
# expect CODE 'TEXT' arguments...: runs vila train and checks its exit code and its output.
expect() { run_expect "$1" "$2" train "${@:3}"; }
losses() { sed -E 's/"(seconds|tokens_per_second)":[^,]*,//g' "$1/log.jsonl"; }
same_losses() { [ "$(losses "$1")" = "$(losses "$2")" ]; }
steps_in_order() {  # run steps
    [ "$(sed -E 's/.*"step":([0-9]+).*/\1/' "$1/log.jsonl" | tr '\n' ' ')" = "$(seq -s ' ' "$2") " ]
}

# --- usage and recipes ---
expect 2 "--out is required" lm.toml
expect 2 "did you mean --out" lm.toml --ouy x
expect 2 "is not an override" lm.toml --out x nonsense
expect 0 "optimizer.lr" --help
expect 1 "absent.toml" absent.toml --out x
expect 1 "device cuda:99: " lm.toml --out x --device cuda:99
expect 2 "expected cpu, cuda or cuda:N" lm.toml --out x --device gpu
expect 1 "did you mean 'optimizer.lr'" lm.toml --out x optimizer.rl=1
expect 1 "expected a number above 0" lm.toml --out x optimizer.lr=-1
expect 1 "absent.txt" lm.toml --out x 'data.sources[0].path=absent.txt'
: >empty.txt
expect 1 "empty.txt" lm.toml --out x2 'data.sources[0].path=empty.txt'
expect 1 "needs a vision tower" lm.toml --out x3 stage=sft
check "refused recipes leave no model" [ ! -e x/model ]

expect 0 "finished" lm.toml --out x3 train.steps=1

# --- memory: planned, and exhausted ---
run_expect 0 "peak  " plan lm.toml
(ulimit -d 2500000 && train lm.toml --out x4 model.llm_config.intermediate_size=9000000)
check "exit code 1 where memory runs out" [ $? -eq 1 ]
check "the plan is missing where memory ran out" grep -q "out of memory.*; planned on each of 1 rank: 6.9.* GB of weights" output

# --- stage lm from nothing, and the files it writes ---
expect 0 "finished" lm.toml --out lm --threads 1
for file in recipe.toml log.jsonl tokenizer/tokenizer.json model/config.json \
    model/llm/config.json model/llm/model.safetensors model/llm/tokenizer.json \
    checkpoints/step-00000012/manifest.json; do
    check "lm/$file is missing" [ -s "lm/$file" ]
done
check "log of 12 steps" steps_in_order lm 12
for key in loss lr grad_norm tokens tokens_per_second seconds losses; do
    check "log key $key" grep -q "\"$key\":" lm/log.jsonl
done
check "losses by source" grep -q '"losses":{"text":[0-9.]*,"instructions":[0-9.]*}' lm/log.jsonl
check "two checkpoints are kept" [ "$(ls -d lm/checkpoints/step-* | wc -l)" -eq 2 ]
first=$(sed -E 's/.*"loss":([0-9.]+).*/\1/;q' lm/log.jsonl)
last=$(tail -n 1 lm/log.jsonl | sed -E 's/.*"loss":([0-9.]+).*/\1/')
check "the loss falls (from $first to $last)" awk "BEGIN { exit !($last < 0.8 * $first) }"
before=$(stat -c %Y.%i lm/model/llm/model.safetensors)
expect 0 "finished" lm.toml --out lm
check "a finished run is left alone" [ "$before" = "$(stat -c %Y.%i lm/model/llm/model.safetensors)" ]
expect 1 "optimizer.lr was 0.01 and is 0.02" lm.toml --out lm optimizer.lr=0.02
expect 0 "finished" lm.toml --out lm train.save_every=7
expect 0 "finished" lm/recipe.toml --out again --threads 1
check "the resolved recipe gives the same model" same lm/model/llm/model.safetensors again/model/llm/model.safetensors

# --- results depend neither on threads, nor on micro-batches, nor on when checkpoints were saved ---
expect 0 "finished" lm.toml --out threads --threads 2 train.save_every=1
check "threads change nothing" same lm/model/llm/model.safetensors threads/model/llm/model.safetensors
expect 0 "finished" lm.toml --out micro --threads 1 data.pack=false train.micro_batch=8
sum_of() { sed -E 's/.*"loss":([0-9.]+).*/\1/' "$1/log.jsonl" | awk '{ s += $1 } END { print s }'; }
check "micro-batches change no more than rounding: $(sum_of lm) and $(sum_of micro)" \
    awk "BEGIN { d = $(sum_of lm) - $(sum_of micro); exit !(d < 0.01 && d > -0.01) }"

# --- a damaged checkpoint: training resumes from the older one, with the same result ---
cp -r lm damaged
rm -r damaged/model
nonce=$(sed -n 's/^process //p' damaged/.lock | tail -n 1)
mkdir "damaged/model.tmp-$nonce" "damaged/checkpoints/step-00000013.tmp-$nonce-1"
touch "damaged/log.jsonl.tmp-$nonce" "damaged/checkpoints/latest.tmp-$nonce"
printf 'x' | dd of=damaged/checkpoints/step-00000012/rank-00000.safetensors bs=1 seek=9000 \
    conv=notrunc 2>dd.log
expect 0 "is damaged" lm.toml --out damaged --threads 1
check "resumed from the older one" grep -q "from step 10" output
check "same weights after a damaged checkpoint" same lm/model/llm/model.safetensors damaged/model/llm/model.safetensors
check "same log after a damaged checkpoint" same_losses lm damaged
check "leftovers of killed processes are gone" [ -z "$(find damaged -name '*.tmp-*')" ]
check "no step twice in the log" steps_in_order damaged 12

# --- a damaged model is written again from the last checkpoint ---
for damage in "rm" "truncate -s 5000"; do
    rm -rf remade
    cp -r lm remade
    $damage remade/model/llm/model.safetensors
    expect 0 "remade/model is damaged (" lm.toml --out remade --threads 1
    check "$damage: same weights again" same lm/model/llm/model.safetensors remade/model/llm/model.safetensors
    check "$damage: the damaged one is kept" [ -e remade/model.damaged/config.json ]
    expect 0 "finished" lm.toml --out remade --threads 1
done
rm -r remade/checkpoints remade/model/llm/model.safetensors
expect 1 "no checkpoint is left to write it from" lm.toml --out remade --threads 1

# --- lost checkpoints are noticed ---
cp -r lm lost
rm -r lost/model lost/checkpoints
expect 1 "all checkpoints of this run are gone" lm.toml --out lost --threads 1
check "the log is kept" steps_in_order lost 12
rm lost/log.jsonl
expect 0 "finished" lm.toml --out lost --threads 1
check "same weights after a new start" same lm/model/llm/model.safetensors lost/model/llm/model.safetensors

# --- changed data is noticed ---
cp -r lm changed
rm -r changed/model
cp text.txt text.bak
echo "one more line" >>text.txt
expect 1 "data source text had 24 records when the run began and has 25" lm.toml --out changed
sed 's/square 3 is/square 4 is/' text.bak >text.txt
expect 1 "data source text has other content than when the run began" lm.toml --out changed
cp text.bak text.txt
expect 0 "finished" lm.toml --out changed --threads 1
mv text.bak text.txt

# --- the tokenizer of a begun run, and a lost recipe ---
cp -r lm other
rm -r other/model
sed -i 's/"version"/ "version"/' other/tokenizer/tokenizer.json
expect 1 "the tokenizer's files are not those the run began with" lm.toml --out other
rm -r other/tokenizer
expect 0 "finished" lm.toml --out other --threads 1
check "an equal tokenizer is trained again" same lm/tokenizer/tokenizer.json other/tokenizer/tokenizer.json
rm -r other/model other/tokenizer
sed -i '/^tokenizer /d' other/.lock
expect 1 "tokenizer/ is missing" lm.toml --out other
check "no other tokenizer is left" [ ! -e other/tokenizer ]
cp -r lm/tokenizer other
rm other/recipe.toml
expect 1 "is of another recipe; optimizer.lr was 0.01 and is 0.5" lm.toml --out other optimizer.lr=0.5
expect 0 "finished" lm.toml --out other --threads 1
expect 0 "finished" lm.toml --out seeded --threads 1 train.seed=4
rm -r other/model other/checkpoints
cp -r seeded/checkpoints other
expect 1 "checkpoint step-00000012 is of another recipe; train.seed was 4 and is 3" lm.toml --out other

# --- SIGTERM: saves the last finished step, exits with code 143, and resumes from there ---
"$binary" train lm.toml --out term --threads 1 train.steps=3000 >output 2>&1 &
pid=$!
for _ in $(seq 200); do [ -s term/log.jsonl ] && break; sleep 0.05; done
kill -TERM $pid
wait $pid
check "SIGTERM gives exit code 143" [ $? -eq 143 ]
check "SIGTERM says what to do" grep -q "the same command resumes from there" output
stopped=$(wc -l <term/log.jsonl)
check "SIGTERM saved step $stopped" [ -e "term/checkpoints/step-$(printf %08d "$stopped")" ]
expect 1 "train.steps was 3000 and is 12" lm.toml --out term
"$binary" train lm.toml --out busy --threads 1 train.steps=3000 >busy.log 2>&1 &
pid=$!
for _ in $(seq 200); do [ -s busy/log.jsonl ] && break; sleep 0.05; done
expect 1 "another process is training there" lm.toml --out busy train.steps=3000
kill -INT $pid
wait $pid
check "SIGINT gives exit code 130" [ $? -eq 130 ]

# --- a full disk: training continues, then stops with the older checkpoint intact ---
expect 0 "finished" lm.toml --out full --threads 1 train.save_every=4 train.keep=9
rm -r full/model full/checkpoints/step-000000{08,12}
(
    ulimit -f 40
    "$binary" train lm.toml --out full --threads 1 train.save_every=1 >output 2>&1
)
check "a full disk ends with exit code 1" [ $? -eq 1 ]
check "a full disk is named" grep -q "could not be saved 3 times in a row" output
check "the older checkpoint is named" grep -q "resumes from step 4" output
check "no debris" [ "$(ls full/checkpoints | grep -c tmp)" -eq 0 ]
expect 0 "finished" lm.toml --out full --threads 1 train.save_every=1

# --- SIGTERM while the disk is full: the save fails, and that is said ---
for when in first later; do
    rm -rf no-room
    if [ $when = later ]; then
        "$binary" train lm.toml --out no-room --threads 1 train.steps=3000 train.save_every=2 >output 2>&1 &
        pid=$!
        for _ in $(seq 200); do [ -e no-room/checkpoints/step-00000004 ] && break; sleep 0.05; done
        kill -TERM $pid
        wait $pid
    fi
    logged=$(cat no-room/log.jsonl 2>/dev/null | wc -l)
    (
        ulimit -f 40
        exec "$binary" train lm.toml --out no-room --threads 1 train.steps=3000 train.save_every=2000 >output 2>&1
    ) &
    pid=$!
    for _ in $(seq 200); do [ "$(cat no-room/log.jsonl 2>/dev/null | wc -l)" -gt "$logged" ] && break; sleep 0.05; done
    kill -TERM $pid
    wait $pid
    code=$?
    check "$when: exit code $code instead of 1 after a signal whose save failed" [ $code -eq 1 ]
    check "$when: it is said" grep -q "stopped by a signal at step [0-9]*, whose checkpoint could not be saved" output
    check "$when: it does not claim to be saved" [ "$(grep -c 'stopped at step' output)" -eq 0 ]
    if [ $when = later ]; then
        check "the checkpoint before is named" grep -q "the same command resumes from step $logged once" output
    else
        check "no checkpoint is promised" grep -q "there is no checkpoint yet: the same command starts from the beginning" output
    fi
done

# --- images: frozen parts stay bit-identical, the feature cache changes nothing ---
expect 0 "finished" align.toml --out align --threads 1
check "the frozen language model is unchanged" same lm/model/llm/model.safetensors align/model/llm/model.safetensors
for file in vision_tower/preprocessor_config.json vision_tower/model.safetensors \
    mm_projector/model.safetensors llm/tokenizer.json; do
    check "align/model/$file is missing" [ -s "align/model/$file" ]
done
expect 1 "align.toml: model.projector: projector type x is not implemented; expected " align.toml --out x5 model.projector=x
expect 0 "finished" align.toml --out nocache --threads 1 train.cache_features=false
check "cached features change nothing" same align/model/mm_projector/model.safetensors nocache/model/mm_projector/model.safetensors
expect 0 "finished" align.toml --out disk --threads 1 train.feature_cache_gb=0
check "features go to the disk" [ -s disk/cache/features.bin ]
check "features on disk change nothing" same align/model/mm_projector/model.safetensors disk/model/mm_projector/model.safetensors
expect 0 "finished" sft.toml --out sft --threads 1
check "the frozen tower is unchanged" same align/model/vision_tower/model.safetensors sft/model/vision_tower/model.safetensors
check "the language model learned" [ "$(cmp -s align/model/llm/model.safetensors sft/model/llm/model.safetensors; echo $?)" -eq 1 ]
check "the projector learned" [ "$(cmp -s align/model/mm_projector/model.safetensors sft/model/mm_projector/model.safetensors; echo $?)" -eq 1 ]
expect 0 "finished" sft.toml --out tower --threads 1 trainable.llm=false trainable.vision_tower=true
check "llm frozen in sft" same align/model/llm/model.safetensors tower/model/llm/model.safetensors
check "tower learned in sft" [ "$(cmp -s align/model/vision_tower/model.safetensors tower/model/vision_tower/model.safetensors; echo $?)" -eq 1 ]
mkdir -p templates
echo '{% for m in messages %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}' >templates/own.jinja
sed 's/^template = .*/template = "templates\/own.jinja"/' sft.toml >own.toml
expect 0 "finished" own.toml --out own --threads 1 train.steps=1
check "the model has the template of its training" cmp -s templates/own.jinja own/model/llm/chat_template.jinja
run_expect 0 "own/model/llm/chat_template.jinja" inspect own/model
expect 1 "data.template: no chat template \"absent.jinja\": expected plain" sft.toml --out none data.template=absent.jinja
expect 1 "nothing to train" sft.toml --out none trainable.llm=false trainable.projector=false
expect 0 "finished" sft.toml --out bf16 --threads 1 --dtype bf16
check "bf16 weights" grep -aq '"dtype":"BF16"' bf16/model/llm/model.safetensors

# --- stage clip: trains a vision tower alone, which the next stage opens ---
expect 0 "finished" clip.toml --out clip --threads 1
for file in config.json vision_tower/config.json vision_tower/model.safetensors \
    vision_tower/preprocessor_config.json; do
    check "clip/model/$file is missing" [ -s "clip/model/$file" ]
done
check "CLIPVisionModel layout" grep -q '"CLIPVisionModel"' clip/model/vision_tower/config.json
check "own preprocessing" grep -q '0.5' clip/model/vision_tower/preprocessor_config.json
first=$(sed -E 's/.*"loss":([0-9.]+).*/\1/;q' clip/log.jsonl)
last=$(tail -n 1 clip/log.jsonl | sed -E 's/.*"loss":([0-9.]+).*/\1/')
check "contrastive loss falls (from $first to $last)" awk "BEGIN { exit !($last < 0.9 * $first) }"
cp -r clip clip2
rm -r clip2/model clip2/checkpoints/step-00000060
expect 0 "from step 40" clip.toml --out clip2 --threads 1
check "clip resumes exactly" same clip/model/vision_tower/model.safetensors clip2/model/vision_tower/model.safetensors
expect 0 "finished" align.toml --out align2 --threads 1 model.vision_tower=clip/model \
    'model.vision_config={}'
check "the clip tower is unchanged" same clip/model/vision_tower/model.safetensors align2/model/vision_tower/model.safetensors
check "its preprocessing is copied with it" same clip/model/vision_tower/preprocessor_config.json align2/model/vision_tower/preprocessor_config.json
expect 1 "stage clip learns from pairs" clip.toml --out clip3 'data.sources[0].format=text' 'data.sources[0].path=text.txt' 'data.sources[0].images='

# --- killed at random instants ---
"$tests/faults/kill_resume.sh" "$binary" 3 >output 2>&1
check "kill and resume" [ $? -eq 0 ]

# --- stopped by signals at random instants ---
"$tests/faults/stop_signals.sh" "$binary" "${VILA_TEST_STOPS:-3}" alone >output 2>&1
check "signals save the last finished step" [ $? -eq 0 ]

# --- losses that are not finite: steps are skipped and logged, then training stops ---
expect 1 "not finite in 2 steps in a row" lm.toml --out bad optimizer.lr=10 optimizer.clip_norm=0 \
    train.steps=400 train.max_bad_steps=2 schedule.warmup_ratio=0 model.llm_config.initializer_range=1e18
expect 1 "the last 3 steps were skipped" lm.toml --out bad3 --threads 1 train.steps=3 \
    train.max_bad_steps=9 schedule.warmup_ratio=0 model.llm_config.initializer_range=1e18
check "skipped steps give no model" [ ! -e bad3/model ]
check "bad steps are logged with their samples" grep -q '"skipped":true,"samples":\["' bad/log.jsonl

finish
