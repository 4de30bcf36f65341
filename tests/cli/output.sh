#!/bin/bash
# Tests where results go: files, links, pipes, devices, standard output; what happens to them when a
# disk is full, a reader leaves or a signal comes; and progress lines.
#   tests/cli/output.sh BINARY
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
echo '{"id": "a", "prompt": "<image>hi", "images": ["images/red.bmp"], "target": "red"}' >requests.jsonl
echo '{"question_id": "q", "image": "red.bmp", "text": "what colour?", "answer": "red"}' >questions.jsonl
echo '{"question_id": "q", "text": "red"}' >predictions.jsonl
score=(score --model $model --threads 1 --input requests.jsonl)
evaluate=(eval exact --model $model --threads 1 --images images --data questions.jsonl)
generate=(generate --model $model --threads 1 --max-tokens 4)
fails() {  # TEXT arguments...: exit code 1 and a single line
    run_expect 1 "$@"
    check "one line: ${*:2}" [ "$(wc -l <output)" -eq 1 ]
}
# run STDOUT-FILE arguments...: keeps standard output and stderr apart, in STDOUT-FILE and ./output.
run() {
    "$binary" "${@:2}" >"$1" 2>output </dev/null
    code=$?
}
is_link_to() { [ "$(readlink "$1")" = "$2" ]; }

# --- links, pipes, devices ---
run_expect 0 "" "${score[@]}" --output expected
echo old >target
ln -s target link
run_expect 0 "" "${score[@]}" --output link
check "the link stays" is_link_to link target
check "what it names is replaced" same target expected
ln -s made dangling
run_expect 0 "" "${score[@]}" --output dangling --dump dump.safetensors
check "a dangling link stays" is_link_to dangling made
check "what it names is made" same made expected
ln -s b a && ln -s a b
fails "a: cannot be written: Too many levels of symbolic links" "${score[@]}" --output a
check "the circle stays" is_link_to a b
mkfifo pipe
ln -s pipe pipe-link
for name in pipe pipe-link; do
    cat pipe >got &
    run_expect 0 "" "${score[@]}" --output $name
    wait
    check "$name: the pipe got everything" same got expected
    check "$name: the pipe stays" [ -p pipe ]
done
check "the link to the pipe stays" is_link_to pipe-link pipe
cat pipe >got &
run_expect 0 "" "${score[@]}" --output /dev/null --dump pipe
wait
check "tensors through a pipe" same got dump.safetensors
check "/dev/null stays" [ -c /dev/null ]
fails "/dev/full: cannot write: No space left on device" "${score[@]}" --output /dev/full
fails "/dev/full: cannot write: No space left on device" "${evaluate[@]}" --output /dev/full
fails "/dev/full: cannot write: No space left on device" report sft --samples 0 --output /dev/full
fails "/dev/full: cannot write: No space left on device" preprocess images/red.bmp --model $model --output /dev/full
for own in "${score[*]} --output" "${evaluate[*]} --output" "report sft --samples 0 --output" \
    "preprocess images/red.bmp --model $model --output" "${score[*]} --output x --dump"; do
    # shellcheck disable=SC2086
    fails "absent/file: cannot be written: the folder absent does not exist" $own absent/file
    # shellcheck disable=SC2086
    fails "images: cannot be written: is a directory; expected a file name" $own images
done
check "a refused dump leaves no answers" [ ! -e x ]
if mknod null c 1 3 2>/dev/null; then
    run_expect 0 "" "${score[@]}" --output null
    check "a device of one's own stays" [ -c null ]
fi
chmod 600 target
run_expect 0 "" "${score[@]}" --output target
check "the mode stays" [ "$(stat -c %a target)" = 600 ]
ln -s /proc/self/fd/1 own-stdout
for name in own-stdout /proc/self/fd/1 -; do
    echo first >appended
    "$binary" "${score[@]}" --output $name >>appended 2>output
    check "$name: what was there before stays" [ "$(head -n 1 appended)" = first ]
    check "$name: the answers follow" [ "$(tail -n +2 appended)" = "$(cat expected)" ]
done
run_expect 0 "" "${score[@]}" --output ./-
check "./- is a file" same ./- expected
mkdir real conversions.old
echo precious >conversions.old/notes
ln -s real model-link
run_expect 0 "" convert $model model-link
check "the link to a folder stays" is_link_to model-link real
check "the model is where it points" [ -s real/config.json ]
run_expect 0 "" convert $model conversions
check "NAME.old of the user stays" [ "$(cat conversions.old/notes)" = precious ]
mkdir w.partial
run_expect 0 "w/" data make-world --out w/ --scale 0.001
check "NAME.partial of the user stays" [ -d w.partial ]
check "a world with a slash" [ -s w/world.json ]

# --- standard input and output ---
run got "${score[@]}" --output -
check "score --output -" same got expected
"$binary" score --model $model --threads 1 --input - --output got <requests.jsonl 2>output
check "score --input -" same got expected
run_expect 2 "--output and --dump: only one of them can be -" "${score[@]}" --output - --dump -
run plain "${generate[@]}" --input requests.jsonl
"$binary" "${generate[@]}" --input - <requests.jsonl >got 2>output
check "generate --input -" same got plain
"$binary" "${generate[@]}" --input <(cat requests.jsonl) >got 2>output
check "generate --input of a pipe finds images beside it" [ $? -eq 1 ]
echo '{' | "$binary" "${generate[@]}" --input - >got 2>output
check "a bad line of standard input" grep -q "standard input line 1: not valid JSON" output
run got "${evaluate[@]}" --output -
run summary "${evaluate[@]}" --output result.json
check "eval --output -" same got result.json
check "the summary goes to stderr then" [ -s output -o -s summary ]
"$binary" eval exact --predictions - --annotations questions.jsonl <predictions.jsonl >got 2>output
check "eval --predictions -" grep -q "accuracy 1.0000 over 1 questions" got
run_expect 2 "--annotations and --predictions: only one of them can be -" eval exact --predictions - --annotations -
run_expect 2 "--output - and --json print the same" "${evaluate[@]}" --output - --json
run got report sft --samples 0 --output -
check "report --output -" grep -q "<svg" got
check "a page alone" [ "$(head -c 9 got)" = "<!DOCTYPE" -o "$(head -c 9 got)" = "<!doctype" ]
"$binary" plan - <lm.toml >got 2>output
check "plan -" grep -q "parameters" got
echo "stage = 5" | "$binary" plan - >got 2>output
check "plan names standard input" grep -q "standard input:1" output

# --- names and content of files on the terminal ---
escapes() { LC_ALL=C grep -qaP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]' "$1"; }
header="{\"a\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]}, \"__metadata__\": {\"k\\u0007\": \"v\\u001b[31m\\nb\\u009b2J\"}}"
{
    printf "\\x$(printf %02x ${#header})\\0\\0\\0\\0\\0\\0\\0%s" "$header"
    printf '\0\0\0\0'
} >names.safetensors
run got inspect names.safetensors
check "metadata is escaped" grep -qF 'metadata k\x07: v\x1b[31m\nb\x9b2J' got
check "no control characters of a file" eval '! escapes got'
cat >names.json <<'END'
[{"id": "\u001b[2Jx\ny", "image": "a\u001b]0;title\u0007.bmp", "conversations": [
{"from": "human", "value": "<image>\nwhat\u001b[5m?"}, {"from": "gpt", "value": "red\u009b"}]}]
END
run got inspect names.json --format llava --images images --model $model
check "an id is escaped" grep -qF 'sample \x1b[2Jx\ny ' got
check "no control characters of a record" eval '! escapes got'

# --- lost results ---
for command in "--version" "--help" "score --help" "inspect $model" "plan lm.toml --json" "${generate[*]} --prompt hi" \
    "${generate[*]} --input requests.jsonl" "${evaluate[*]}" "${score[*]} --output -" \
    "data stats llava.json --format llava --images images --model $model" "tokenize --model $model"; do
    # shellcheck disable=SC2086
    echo hi | "$binary" $command >/dev/full 2>output
    check "exit code $? instead of 1 with a full disk: $command" [ "${PIPESTATUS[1]}" -eq 1 ]
    check "one line: $command" [ "$(grep -c 'cannot write: No space left on device' output)" -eq 1 ]
    # shellcheck disable=SC2086
    echo hi | "$binary" $command >&- 2>output
    check "closed standard output: $command" [ "${PIPESTATUS[1]}" -eq 1 ]
    # shellcheck disable=SC2086
    "$binary" $command 2>output < <(yes hi | head -n 20000) | head -n 0
    codes=("${PIPESTATUS[@]}")
    check "a reader that left: $command ended with ${codes[0]}" [ "${codes[0]}" -eq 141 -o "${codes[0]}" -eq 0 ]
    check "quietly: $command" [ "$(wc -l <output)" -eq 0 ]
done
(ulimit -f 4 && "$binary" "${score[@]}" --output small --dump large.safetensors) >output 2>&1
check "a limit on files is one line" grep -q "large.safetensors: cannot write: File too large" output
check "and leaves no file" [ -z "$(ls | grep -E 'large|small')" ]
"$binary" chat --model $model --threads 1 <&- >got 2>output
check "chat without standard input says nothing" [ ! -s got ]

# --- progress and signals ---
awk '{ for (i = 0; i < 100000; ++i) print }' requests.jsonl >many.jsonl
many=(score --model $model --threads 1 --input many.jsonl)
"$binary" "${many[@]}" --output answers >got 2>progress &
pid=$!
for _ in $(seq 200); do
    [ -s progress ] && break
    sleep 0.1
done
check "a progress line with rate and time left" grep -qE '^score [0-9]+/100000  [0-9.]+ per s  [0-9].* left$' progress
check "nothing of it on standard output" [ ! -s got ]
kill -TERM $pid
wait $pid 2>/dev/null
check "ended by the signal" [ $? -eq 143 ]
check "no answers, whole or half" [ -z "$(ls | grep -E '^answers')" ]
# A signal may reach a background job while it is still a copy of this shell, which would then run
# the trap of this shell.
trap - EXIT
for signal in INT TERM HUP; do
    for delay in 0.00 0.01 0.02 0.04 0.08 0.15; do
        rm -rf signaled && mkdir signaled
        # Background jobs of a script ignore SIGINT, and SIGHUP under nohup; env restores the defaults.
        env --default-signal=INT,HUP "$binary" convert $model signaled/model >got 2>&1 &
        first=$!
        env --default-signal=INT,HUP "$binary" data make-world --out signaled/world --scale 0.05 >got 2>&1 &
        second=$!
        sleep $delay
        kill -$signal $first $second 2>/dev/null
        wait $first $second 2>/dev/null
        check "SIG$signal after $delay s leaves a whole model or none" [ ! -e signaled/model -o -s signaled/model/llm/model.safetensors ]
        check "SIG$signal after $delay s leaves nothing else: $(ls signaled)" [ -z "$(ls signaled | grep -vE '^(model|world)$')" ]
    done
done
trap 'rm -rf "$folder"' EXIT
"$binary" "${many[@]}" --output - 2>output | head -n 1 >got
check "a reader that leaves ends a long command" [ "${PIPESTATUS[0]}" -eq 141 ]

finish
