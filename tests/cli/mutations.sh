#!/bin/bash
# Runs the program on damaged files of every kind that it reads: tests/faults/mutate.cpp.
#   tests/cli/mutations.sh BINARY
# VILA_TEST_MUTATIONS=20000 runs more of them (default 1200); VILA_TEST_SEED draws others.
set -u
tests=$(cd "$(dirname "$0")/.." && pwd)
binary=$(realpath "$1")
mutate=$(dirname "$binary")/../tests/mutate
[ -x "$mutate" ] || { echo "$mutate is not built: GoogleTest is not installed"; exit 77; }
mutate=$(realpath "$mutate")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
folder=$work/files
"$tests/support/tiny_training_data.sh" "$folder" || exit 1
cd "$folder" || exit 1
. "$tests/support/shell_checks.sh"

# Small files of every kind.
for stage in lm align sft; do
    run_expect 0 "finished" train $stage.toml --out $stage --threads 1
done
rm -rf lm/checkpoints align/checkpoints
cp -r "$tests/goldens/layouts/vicuna" vicuna
mkdir tokenizers pictures
cp -r "$tests"/goldens/tokenizer_{gpt2,llama2,llama3,metaspace,qwen2} tokenizers/
cp "$tests/goldens/pairs.tar" pairs.tar
for picture in bmp_{8,24}.bmp gif_{animated,interlaced}.gif jpeg_{420,cmyk,exif_6,progressive_444}.jpg \
    png_{pillow,interlaced}.png webp_{lossless,lossy}.webp; do
    [ -e "$tests/goldens/images/$picture" ] && cp "$tests/goldens/images/$picture" pictures/
done
for i in 1 2 3; do echo "{\"text\": \"a text of a red square $i\"}"; done | gzip >text.jsonl.gz
for i in 0 1 2; do
    echo "{\"text_list\": [\"first $i\", \"then\", \"last\"], \"image_info\": [{\"image_name\": \"red.bmp\", \"matched_text_index\": $i}]}"
done >mmc4.jsonl
echo "{% for message in messages %}{{ message.role }}: {{ message.content }}{{ '\\n' if loop.last else '; ' }}{% endfor %}" >chat.jinja
cat >requests.jsonl <<'END'
{"id": "a", "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": "images/red.bmp"}}]}], "target": "red"}
{"id": 2, "prompt": "<image>hi", "images": ["images/red.bmp"]}
END
cat >questions.jsonl <<'END'
{"question_id": "q", "image": "red.bmp", "text": "what colour?", "answer": ["red", "it is red"], "choices": ["red", "blue"]}
{"question_id": 7, "image": ["red.bmp"], "text": "<image>and this?", "answer": "red", "shots": [{"image": "blue.bmp", "text": "what?", "answer": "blue"}]}
END
printf '{"question_id": "q", "text": "red"}\n{"question_id": 7, "text": "blue"}\n' >predictions.jsonl
cat >sft/results.json <<'END'
{"tables": [{"title": "scores", "columns": ["task", "score"], "rows": [["color", 0.5], ["count", null]]}],
 "samples": [{"images": ["../images/red.bmp"], "question": "what?", "answer": "red", "truth": "red", "correct": true}]}
END
printf 'the red square\n{"a": "<s>"} \xf0\x9f\x98\x80\n' >input.txt

seed=${VILA_TEST_SEED:-1}
"$mutate" "$binary" "$folder" 0 "$seed" >/dev/null # makes nothing, and says so if the files are incomplete
if ! "$mutate" "$binary" "$folder" "${VILA_TEST_MUTATIONS:-1200}" "$seed" >log 2>&1; then
    grep -A1 ' case ' log | head -n 40
    echo "FAILED: $(grep -c ' case ' log) cases of seed $seed"
    failures=$((failures + 1))
fi
head -n 1 log
finish
