"""Compares `vila tokenize` with sentencepiece and tokenizers on generated strings: ids, and the text they
decode to. Trains a tokenizer of each kind first, on the Python library's own sources. Prints one line for
each kind and exits with 1 when anything differs. Needs what piece_tokenizers.py needs.

    python tests/goldens/compare_tokenizers.py build/tools/vila --strings 1000000
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
os.environ.setdefault("RAYON_NUM_THREADS", "1")

import make_tokenizer_goldens as byte_level  # noqa: E402
import piece_tokenizers as pieces  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402

SPECIAL = ["<s>", "</s>", "<unk>", "<image>", "<mask>", "<strip>", "<word>", "<norm>", "<sep>", "<m",
           "caf\u00e9 tok", "<|im_start|>", "<|im_end|>", "<|eot_id|>", "<|begin_of_text|>", "<0x0A>",
           "<ab", "<abc>", "\u2581", "\u2581\u2581", " ", "  ", "\n", "\r\n"]
FOREIGN = ("\u4f60\u597d\u4e16\u754c\u7ea2\u8272\u5706\u5f62 \u30ab\u30bf\u30ab\u30ca\u3068\u3072\u3089\u304c\u306a "
           "\ud55c\uad6d\uc5b4 \u0627\u0644\u062f\u0627\u0626\u0631\u0629 \u0932\u093e\u0932 \u0935\u0943\u0924\u094d\u0924 "
           "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35 \u0391\u03b8\u03ae\u03bd\u03b1 \u041c\u043e\u0441\u043a\u0432\u0430 "
           "\u05e9\u05dc\u05d5\u05dd stra\u00dfe na\u00efve caf\u00e9 \ufb01x \uff21\uff22 ")


def corpus_lines(limit):
    """Returns about `limit` bytes of lines of the standard library, mixed with other scripts."""
    folder = Path(os.__file__).parent
    mix, lines, size = random.Random(1), [], 0
    for path in sorted(folder.glob("*.py")) + sorted(folder.glob("email/*.py")):
        for line in path.read_text(errors="ignore").split("\n"):
            if line:
                lines.append(line)
                size += len(line)
            if mix.random() < 0.04:
                lines.append("".join(mix.choice(FOREIGN.split(" ")) + " " for _ in range(6)))
        if size > limit:
            break
    mix.shuffle(lines)
    return lines


class Texts:
    def __init__(self, lines):
        self.lines, self.mix = lines, random.Random(20240517)
        self.words = [w for line in lines[:20000] for w in line.split(" ") if w]

    def code_point(self):
        while True:
            code = self.mix.randrange(*self.mix.choice(
                [(0, 0x80), (0x80, 0x800), (0x300, 0x370), (0x800, 0x3000), (0x3000, 0xD7A4),
                 (0xE000, 0x10000), (0x1F300, 0x1FAFF), (0x10000, 0x110000), (0x1100, 0x1200)]))
            if not 0xD800 <= code < 0xE000:
                return chr(code)

    def one(self):
        mix = self.mix
        kind = mix.randrange(8)
        if kind == 0:
            line = mix.choice(self.lines)
            start = mix.randrange(len(line))
            return line[start:start + mix.randrange(1, 60)]
        if kind == 1:
            return mix.choice(["", " ", "  "]).join(
                mix.choice(self.words) for _ in range(mix.randrange(1, 8)))
        if kind == 2:
            return "".join(mix.choice(byte_level.ALPHABET) for _ in range(mix.randrange(0, 24)))
        if kind == 3:
            return "".join(self.code_point() for _ in range(mix.randrange(1, 12)))
        if kind == 4:
            return "".join(mix.choice(mix.choice((SPECIAL, self.words, [self.code_point()])))
                           for _ in range(mix.randrange(1, 10)))
        if kind == 5:
            return mix.choice(FOREIGN) * mix.randrange(1, 4) + "".join(
                mix.choice(FOREIGN) for _ in range(mix.randrange(0, 20)))
        if kind == 6:
            return mix.choice([" ", "\n", "0", "9", "a", "=", "\t", "\u4e2d", "\U0001f600", "-"]) * \
                mix.randrange(1, 40) + mix.choice(self.words)
        return str(mix.getrandbits(mix.randrange(1, 200))) + mix.choice(["", ".", ",5", " %", "\u00b2"])

    def many(self, count):
        return byte_level.CASES + [self.one() for _ in range(count - len(byte_level.CASES))]


def broken_texts(count):
    """Returns bytes that are partly valid UTF-8, without line ends."""
    mix, texts = random.Random(99), []
    parts = [b"a", b" ", b"the", b"\xc3", b"\xa9", b"\xe4\xbd", b"\xa0", b"\xf0\x9f", b"\x98\x80",
             b"\xff", b"\xfe", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", "\u4e2d".encode(),
             b"\x00", b"\xe2\x96\x81", b"\xe2\x96", b"\xf8\x88\x80\x80\x80", b"1", b"\xef\xbf\xbd"]
    for _ in range(count):
        texts.append(b"".join(mix.choice(parts) for _ in range(mix.randrange(1, 14))))
    return texts


def vila(binary, folder, lines, *options):
    done = subprocess.run([binary, "tokenize", "--model", folder, *options],
                          input=b"".join(line + b"\n" for line in lines), capture_output=True)
    if done.returncode != 0:
        sys.exit(done.stderr.decode())
    return done.stdout.split(b"\n")[:-1]


def encoded_lines(texts):
    return [json.dumps(text).encode() for text in texts]


def differing(name, what, inputs, ours, theirs):
    """Returns the number of differences and prints the first ones."""
    if len(ours) != len(theirs):
        sys.exit(f"{name} {what}: {len(ours)} answers to {len(theirs)} questions")
    count = 0
    for question, ours_here, theirs_here in zip(inputs, ours, theirs):
        if ours_here != theirs_here:
            count += 1
            if count <= 3:
                print(f"{name} {what}: {question!r}\n  ours   {ours_here}\n  theirs {theirs_here}")
    return count


class Comparison:
    def __init__(self, binary, texts, kinds):
        self.binary, self.texts, self.kinds, self.failures = binary, texts, re.compile(kinds), 0
        self.lines = encoded_lines(texts)

    def check(self, name, folder, encode, decode, options=(), count=None):
        """`encode` takes a list of texts, `decode` a list of lists of ids; None skips the comparison."""
        if not self.kinds.search(name):
            return
        start, texts = time.time(), self.texts[:count]
        ids = encode(texts)
        ours = vila(self.binary, folder, self.lines[:count], "--json", *options)
        bad = differing(name, "ids", texts, ours, [json.dumps(i, separators=(",", ":")).encode()
                                                   for i in ids])
        wrong = 0
        if decode:
            back = vila(self.binary, folder, [json.dumps(i).encode() for i in ids], "--decode")
            wrong = differing(name, "text", ids, [json.loads(line) for line in back], decode(ids))
        print(f"{name}: {len(texts)} strings, {sum(map(len, ids))} ids, {bad} differ, "
              f"{wrong} decode differently, {time.time() - start:.0f} s", flush=True)
        self.failures += bad + wrong

    def check_broken(self, name, folder, model, count):
        if not self.kinds.search(name):
            return
        texts = broken_texts(count)
        theirs = [json.dumps(model.encode(text), separators=(",", ":")).encode() for text in texts]
        bad = differing(name, "ids of broken text", texts, vila(self.binary, folder, texts), theirs)
        ids = [[random.Random(i).randrange(model.get_piece_size()) for _ in range(i % 20)]
               for i in range(count)]
        back = vila(self.binary, folder, [json.dumps(i).encode() for i in ids], "--decode")
        wrong = differing(name, "text of random ids", ids, [json.loads(line) for line in back],
                          [model.decode(i) for i in ids])
        print(f"{name}: {count} broken strings, {bad} differ; {count} random lists of ids, {wrong} "
              "decode differently", flush=True)
        self.failures += bad + wrong


def write_model(folder, content, config=None):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.model").write_bytes(content)
    if config:
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return str(folder)


def write_json(folder, tokenizer):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(tokenizer.to_str())
    return str(folder)


def trained_model(work, name, lines, vocabulary, **options):
    """Trains it once for each folder."""
    path = work / f"model_{name}" / "tokenizer.model"
    if not path.exists():
        write_model(path.parent, pieces.train_model(lines, vocabulary, **options))
    return path.read_bytes()


def trained_llama(work, lines, vocabulary):
    return trained_model(work, "llama", lines, vocabulary, **pieces.LLAMA)


def compare_models(comparison, work, lines, vocabulary):
    rules = pieces.rules_file(work / "rules.tsv")
    llama = trained_llama(work, lines, vocabulary)
    few = vocabulary // 4
    kinds = {
        "llama": llama, "unused": pieces.with_unused(llama),
        "bare": trained_model(work, "bare", lines, few, **pieces.BARE),
        "strict": trained_model(work, "strict", lines, few, normalization_rule_tsv=rules,
                                **pieces.STRICT),
        "nmt": trained_model(work, "nmt", lines, few, normalization_rule_name="nmt_nfkc",
                             byte_fallback=True)}
    for name, content in kinds.items():
        folder = write_model(work / f"model_{name}", content)
        model = pieces.load_model(content)
        comparison.check(f"sentencepiece {name}", folder, model.encode, model.decode)
        comparison.check_broken(f"sentencepiece {name}", folder, model, len(comparison.texts) // 10)
    for legacy in (True, False):
        folder = write_model(work / f"wrapped_{legacy}", llama, pieces.wrapper_config(llama, legacy))
        wrapper = pieces.Wrapper(f"{folder}/tokenizer.model", legacy)
        comparison.check(f"wrapped, legacy {legacy}", folder,
                         lambda texts: [wrapper.ids(text) for text in texts], None, ["--special"],
                         len(comparison.texts) // 20)


def compare_jsons(comparison, work, lines, vocabulary):
    llama = trained_llama(work, lines, vocabulary)
    kinds = {g: pieces.tokenizer_json(llama, g) for g in ("prepend", "metaspace", "split")}
    for name, rule in byte_level.RULES.items():
        kinds[name] = byte_level.train(name, dict(rule, vocab=8000), lines)
    for name, tokenizer in kinds.items():
        if not comparison.kinds.search(f"tokenizers {name}, added tokens parsed as text"):
            continue
        folder = write_json(work / f"json_{name}", tokenizer)
        for parses in (True, False):
            one = tokenizer if parses else pieces.without_added(tokenizer)
            comparison.check(
                f"tokenizers {name}, added tokens {'parsed' if parses else 'as text'}", folder,
                lambda texts: [e.ids for e in one.encode_batch(texts, add_special_tokens=False)],
                (lambda ids: tokenizer.decode_batch(ids, skip_special_tokens=False))
                if parses else None, ["--special"] if parses else [])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--strings", type=int, default=1000000)
    parser.add_argument("--vocabulary", type=int, default=16000)
    parser.add_argument("--work", help="folder for the tokenizers")
    parser.add_argument("--kinds", default="", help="regular expression that names must match")
    options = parser.parse_args()
    work = Path(options.work or tempfile.mkdtemp())
    work.mkdir(parents=True, exist_ok=True)
    lines = corpus_lines(3000000)
    comparison = Comparison(options.binary, Texts(lines).many(options.strings), options.kinds)
    compare_models(comparison, work, lines, options.vocabulary)
    compare_jsons(comparison, work, lines, options.vocabulary)
    sys.exit(1 if comparison.failures else 0)


main()
