#!/bin/bash
# Keeps a ledger of a user's files (name, inode, kind, mode, content) while every command that writes
# runs beside them, in runs and folders of their own or in the user's. No command may change, replace or
# remove one of them: not what looks like its own temporary files, not an older output, not its input.
#   tests/cli/ledger.sh BINARY
set -u
tests=$(cd "$(dirname "$0")/.." && pwd)
binary=$(realpath "$1")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$tests/support/tiny_training_data.sh" "$folder" || exit 1
cd "$folder" || exit 1
. "$tests/support/shell_checks.sh"

# bystanders FOLDER NAME...: makes a user's files in a folder, with the names that commands that write
# each NAME might take for their own.
users=()
bystanders() {
    local name place=$1
    for name in "${@:2}"; do
        mkdir -p "$place/$name.old" "$place/$name.old-1" "$place/$name.partial" "$place/$name.tmp-77" "$place/$name.damaged"
        for file in "$name.old/notes" "$name.old-1/notes" "$name.partial/notes" "$name.tmp-77/notes" \
            "$name.damaged/notes" "$name.tmp-0" "$name.tmp-77-1" "$name.tmp-1-0123456789abcdef" "$name.tmp-final.txt" "$name.bak"; do
            echo "the user's $file" >"$place/$file"
            users+=("$place/$file")
        done
    done
    echo notes >"$place/notes.txt" && chmod 640 "$place/notes.txt"
    ln -sf notes.txt "$place/link.tmp-0"
    users+=("$place/notes.txt" "$place/link.tmp-0")
}
# protect FILE...: puts files, or all files of folders, into the ledger.
protect() {
    local file
    while IFS= read -r -d '' file; do users+=("$file"); done < <(find "$@" ! -type d -print0)
}
ledger() { stat -c '%N %i %F %a' "${users[@]}" 2>&1; cksum "${users[@]}" 2>&1; }
# All files of a folder, with the times of folders, which change when anything in them is made.
whole() { find "$1" -printf '%p %i %y %m %T@ %l\n' -type f -exec cksum {} \; | sort; }
# keeps CODE TEXT arguments...: runs a command and checks the ledger.
keeps() {
    local before
    before=$(ledger)
    run_expect "$@"
    if [ "$(ledger)" != "$before" ]; then
        diff <(echo "$before") <(ledger) >changes
        echo "FAILED: ${*:3} changed files of the user:" && head -n 10 changes
        failures=$((failures + 1))
    fi
}
# refuses TEXT arguments...: exit code 1, one line of at most 300 characters, nothing changed.
refuses() {
    keeps 1 "$@"
    check "one line: ${*:2}" [ "$(wc -l <output)" -eq 1 ]
    check "at most 300 characters: ${*:2}" [ "$(sed "s#$folder/##g" output | wc -m)" -le 301 ]
}

for stage in lm align sft; do run_expect 0 "finished" train $stage.toml --out $stage --threads 1; done
model=sft/model
step=$(basename "$(ls -d sft/checkpoints/step-* | tail -n 1)")
echo '{"id": "a", "prompt": "<image>hi", "images": ["images/red.bmp"], "target": "red"}' >requests.jsonl
echo '{"question_id": "q", "image": "red.bmp", "text": "what colour?", "answer": "red"}' >questions.jsonl
echo '{"question_id": "q", "text": "red"}' >predictions.jsonl
printf 'hello\n' >hello.txt
protect images ./*.toml ./*.json ./*.jsonl ./*.txt lm align sft

# --- beside the user's files ---
bystanders . new converted exported world page.html pixels answers scores dump demo
keeps 0 "" train lm.toml --out new --threads 1 train.steps=2
keeps 0 "" convert $model converted
keeps 0 "" export sft/checkpoints/"$step" exported
keeps 0 "world" data make-world --out world/ --scale 0.001
keeps 0 "" preprocess images/red.bmp --model $model --output pixels
keeps 0 "" score --model $model --input requests.jsonl --output answers --dump dump
keeps 0 "" eval exact --model $model --data questions.jsonl --images images --output scores
keeps 0 "" report sft --samples 2 --output page.html
keeps 0 "" generate --model $model --input requests.jsonl --max-tokens 2
keeps 0 "" tokenize --model $model
keeps 0 "" data check lm.toml
keeps 0 "" plan lm.toml
# Again, over their own outputs.
keeps 0 "" preprocess images/red.bmp --model $model --output pixels
keeps 0 "" score --model $model --input requests.jsonl --output answers --dump dump
keeps 0 "" report sft --samples 0 --output page.html
keeps 0 "finished" train lm.toml --out new --threads 1 train.steps=2

# --- in a run ---
cp -r lm run
rm -r run/model run/checkpoints/step-00000012
cp -r run/checkpoints/step-00000010 run/checkpoints/step-00000005
mkdir run/cache
bystanders run model tokenizer recipe.toml log.jsonl .lock checkpoints preprocessor
bystanders run/cache features.bin
bystanders run/checkpoints step-00000005 step-00000010 step-00000011 step-00000012 latest
echo "mine" >run/checkpoints/step-00000010/notes.txt
mkdir run/checkpoints/step-00000001 && echo "mine" >run/checkpoints/step-00000001/notes.txt
protect run/checkpoints/step-00000010 run/checkpoints/step-00000001
keeps 0 "from step 10" train lm.toml --out run --threads 1 train.save_every=1
check "its own old checkpoint is removed: $(ls run/checkpoints)" [ ! -e run/checkpoints/step-00000005 ]
check "those with files of the user are named" grep -q "step-00000010 is not removed: it holds other files" output
keeps 0 "report.html" report run --samples 0
keeps 0 "report.html" report run --samples 0
keeps 0 "" export run/checkpoints/step-00000012 exported2
# Leftovers of its own dead processes, which .lock records, are removed.
nonce=$(sed -n 's/^process //p' run/.lock | tail -n 1)
mkdir run/model.tmp-"$nonce" run/checkpoints/step-00000013.tmp-"$nonce"-2
touch run/recipe.toml.tmp-"$nonce" run/model.tmp-"$nonce"/half
keeps 0 "finished" train lm.toml --out run --threads 1 train.save_every=1
check "own leftovers are removed" [ -z "$(find run -name "*.tmp-$nonce*")" ]
# A cache file that is not of this program is not used.
run_expect 0 "finished" train align.toml --out cached --threads 1
rm -r cached/model cached/checkpoints cached/log.jsonl
mkdir cached/cache
echo "mine" >cached/cache/features.bin
protect cached/cache
keeps 0 "features.bin" train align.toml --out cached --threads 1 train.feature_cache_gb=0

# --- folders of the user ---
mkdir mine mine/model mine/tokenizer
cp lm.toml mine/recipe.toml
cp -r lm/model/. mine/model
echo "mine" >mine/tokenizer/tokenizer.json
bystanders mine model tokenizer recipes runs
protect mine/recipe.toml mine/model mine/tokenizer
before=$(whole mine)
refuses "mine: holds files, but not a training run; choose a new or empty folder" train lm.toml --out mine --threads 1
refuses "mine: holds files, but not a training run" train mine/recipe.toml --out mine --threads 1
refuses "mine: holds files, but not a demo" demo --out mine --scale 0.001
refuses "mine: exists; move it away" convert $model mine
refuses "mine: exists; move it away" export sft/checkpoints/"$step" mine
refuses "mine: exists; move it away" data make-world --out mine/ --scale 0.001
check "nothing was made in the user's folder" [ "$(whole mine)" = "$before" ]
mkdir only && cp -r lm/model only/model
protect only
refuses "only: holds files, but not a training run" train lm.toml --out only --threads 1
check "not taken for a finished run" [ "$(ls -A only)" = model ]
# A run whose model or recipe is not its own.
mkdir -p begun && "$binary" train lm.toml --out begun --threads 1 'data.sources[0].path=absent.txt' >output 2>&1
cp -r lm/model begun/model
protect begun/model
refuses "model/ was not written by this run; move it away" train lm.toml --out begun --threads 1
cp -r lm lm2 && rm lm2/recipe.toml
protect lm2/model
refuses "lm2: holds model/ but no recipe.toml" train lm.toml --out lm2 --threads 1
# Logs of the caller in a new run's folder.
mkdir logs
"$binary" train lm.toml --out logs --threads 1 train.steps=1 >logs/train.log 2>&1
check "a log in the new folder of a run" grep -q finished logs/train.log

# --- outputs that are inputs ---
ln -s requests.jsonl requests.link
ln requests.jsonl requests.twin
cp questions.jsonl images/questions.jsonl
protect requests.link requests.twin images/questions.jsonl
for name in requests.jsonl requests.link requests.twin ./images/../requests.jsonl; do
    refuses "--output $name: is also --input requests.jsonl" score --model $model --input requests.jsonl --output $name
    refuses "--dump $name: is also --input requests.jsonl" score --model $model --input requests.jsonl --output x --dump $name
done
refuses "--output images/red.bmp: is also the image" score --model $model --input requests.jsonl --output images/red.bmp
refuses "lies inside --model $model" score --model $model --input requests.jsonl --output $model/config.json
refuses "lies inside --model $model" score --model $model --input requests.jsonl --output $model/new.jsonl
refuses "--dump x: is also --output x; name two different files" score --model $model --input requests.jsonl --output x --dump x
evaluate=(eval exact --model $model --data questions.jsonl --images images)
refuses "is also --data questions.jsonl" "${evaluate[@]}" --output questions.jsonl
refuses "is also the image images/red.bmp" "${evaluate[@]}" --output images/red.bmp
refuses "lies inside --images images" "${evaluate[@]}" --output images/result.json
refuses "lies inside --model" "${evaluate[@]}" --output $model/llm/result.json
refuses "is also --predictions" eval exact --predictions predictions.jsonl --annotations questions.jsonl --output predictions.jsonl
refuses "is also --annotations" eval exact --predictions predictions.jsonl --annotations questions.jsonl --output questions.jsonl
refuses "is also the image" preprocess images/blue.bmp images/red.bmp --model $model --output images/red.bmp
refuses "lies inside --model" preprocess images/red.bmp --model $model --output $model/pixels
refuses "lies inside SRC" convert $model $model/new
refuses "lies inside the run" export sft/checkpoints/"$step" sft/new
refuses "lies inside CHECKPOINT" export sft/checkpoints/"$step" sft/checkpoints/"$step"/new
refuses "lies inside model.init" train sft.toml --out align/model/new --threads 1
refuses "exists and is no report" report sft --samples 0 --output sft/log.jsonl
refuses "exists and is no report" report sft --samples 0 --output sft/model/config.json
refuses "exists and is no report" report sft --samples 0 --output images/red.bmp
refuses "is also data source llava" report sft --samples 0 --output llava.json
echo "mine" >sft/report.html
protect sft/report.html
refuses "sft/report.html: exists and is no report; choose another --output" report sft --samples 0
appends() {  # INPUT arguments...: standard output is appended to a file that is read
    local before
    before=$(ledger)
    "$binary" "${@:2}" <"$1" >>"$1" 2>output
    check "exit code $? instead of 1: ${*:2} >>$1" [ $? -eq 1 ]
    check "it is said: ${*:2} >>$1" grep -q "standard output: is also" output
    check "nothing was appended: ${*:2} >>$1" [ "$(ledger)" = "$before" ]
}
appends hello.txt tokenize --model $model
appends requests.jsonl generate --model $model --input requests.jsonl
appends questions.jsonl eval exact --model $model --data questions.jsonl --images images
appends llava.json data check llava.json --format llava --images images
appends llava.json data stats llava.json --format llava --images images --model $model

# --- empty names and sizes ---
for command in "score --model $model --input requests.jsonl --output" "score --model $model --input requests.jsonl --output x --dump" \
    "${evaluate[*]} --output" "report sft --output" "preprocess images/red.bmp --model $model --output" "data make-world --out" \
    "train lm.toml --out" "demo --out" "convert $model" "export sft/checkpoints/$step"; do
    # shellcheck disable=SC2086
    keeps 2 "expected a name, got an empty one" $command ""
done
for size in 0 -1 4097 1000000000 9223372036854775807; do
    keeps 2 "--image-size" convert $model sized --image-size $size
done
check "no file of a refused command: $(ls -d x sized 2>/dev/null)" [ ! -e x -a ! -e sized ]

# --- nothing is left of what failed ---
names=$(ls -A)
(ulimit -f 1 && "$binary" data make-world --out deep/er/world --scale 0.001 >output 2>&1)
check "make-world fails where files cannot be written" [ $? -eq 1 ]
(ulimit -f 4 && "$binary" convert $model deep/er/model >output 2>&1)
check "convert fails where files cannot be written" [ $? -eq 1 ]
check "and leaves nothing" [ "$(ls -A)" = "$names" ]

# --- export writes nothing into a run, also while it trains ---
"$binary" train align.toml --out busy --threads 1 train.steps=1000000 train.save_every=50 train.keep=100000 >busy.log 2>&1 &
pid=$!
for _ in $(seq 200); do [ -e busy/checkpoints/step-00000050 ] && break; sleep 0.05; done
for i in 1 2 3 4; do run_expect 0 "step 50" export busy/checkpoints/step-00000050 busy.$i; done
check "training goes on" kill -0 $pid
kill -TERM $pid
wait $pid
check "training was not disturbed" [ $? -eq 143 ]
before=$(whole busy)
run_expect 0 "step 50" export busy/checkpoints/step-00000050 busy.5
check "export leaves the run as it is" [ "$(whole busy)" = "$before" ]
check "exports agree" same busy.1/mm_projector/model.safetensors busy.5/mm_projector/model.safetensors

# --- demo ---
small=(--scale 0.01 --threads 1 --set train.steps=1)
keeps 0 "Held-out questions" demo --out demo "${small[@]}"
bystanders demo model world runs recipes results.json report.html
bystanders demo/recipes sft.toml
bystanders demo/runs/sft model checkpoints
protect demo/model demo/runs/sft/model
keeps 0 "Held-out questions" demo --out demo "${small[@]}"
echo "# my notes" >>demo/recipes/align.toml
protect demo/recipes/align.toml
keeps 1 "demo/recipes/align.toml: is not the recipe of this demo" demo --out demo "${small[@]}"
echo "mine" >demo/report.html
protect demo/report.html
refuses "demo/report.html: exists and is no report" demo --out demo "${small[@]}"

finish
