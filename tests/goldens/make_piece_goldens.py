"""Writes tokenizer_{llama2,strict,unused,bare,prepend,metaspace}/ and piece_cases.json: small tokenizers
of pieces, made by sentencepiece and tokenizers, and the results of those two and of transformers on
unusual texts and random ids. Needs what piece_tokenizers.py needs.

    python tests/goldens/make_piece_goldens.py
"""

import base64
import contextlib
import json
import random
import tempfile
from pathlib import Path

import make_tokenizer_goldens as byte_level
import piece_tokenizers as pieces

HERE = Path(__file__).resolve().parent
CASES = byte_level.CASES + [
    "\u2581", " \u2581 ", "\u2581a", "a\u2581b", "<s>", "<s> hi</s>there <unk> x", "<s><s>a<s>", " <s>", "\u2581<s>",
    "<mask>", " <mask> ", "a <mask>  b", "a\u2581<mask>b<s>\u2581<mask>", "<image>\nWhat is this?<image>", "x<image> y", "<strip>  a <strip>b",
    "<m<mask>", "ab ab ab ab", "<sep>", "<0x0A>", "<0x41>x", "\uff21\uff22 \uff41\u3000b", "e\u0301 \u00e9", "\ufb01x \ufb01",
    "a\u200bb", "\u200b \u200b", "\u2026", "\u00bd \u00bc", "  a   b  ", "\t a \n", "\n\n\n", "   x    x", "1234567890" * 3,
    "<norm>", "a<norm>b", "a <norm> b", "caf\u00e9 tok", "x caf\u00e9 tok y", "<s> <norm><norm>", "\u0301<word>\u0301 <word>"]


def texts():
    mix = random.Random(3)
    words = (HERE / "tokenizer_corpus.txt").read_text().split()
    glue = ["", " ", " ", "  ", "\n", "<s>", "<mask>", "<image>", "</s>", "\u4e2d\u6587", "\u2581", "\U0001f600"]
    mixed = ["".join(mix.choice(words) + mix.choice(glue) for _ in range(mix.randrange(1, 5)))
             for _ in range(300)]
    return CASES + byte_level.random_texts(250) + mixed


def broken_texts():
    """Returns bytes that are partly valid UTF-8."""
    mix = random.Random(8)
    parts = [b"a", b" ", b"the", b"\xc3", b"\xa9", b"\xe4\xbd", b"\xa0", b"\xf0\x9f", b"\x98\x80", b"\xff",
             b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", "\u4e2d".encode(), b"\x00", b"\n",
             b"\xe2\x96\x81", b"\xe2\x96", b"1", b"\xef\xbf\xbd"]
    return [b"".join(mix.choice(parts) for _ in range(mix.randrange(1, 10))) for _ in range(100)]


def random_ids(size, count, limit=300):
    mix = random.Random(7)
    return [[mix.randrange(size if i % 2 else min(size, limit)) for _ in range(i % 14)]
            for i in range(count)]


def with_ascii_bytes(lists):
    """Leaves out the bytes of longer characters: `tokenizers` drops whole runs of bytes that contain a
    broken character, even line ends, while sentencepiece and vila keep the intact characters."""
    return [[i for i in ids if i < 3 + 0x80 or i >= 3 + 0x100] for ids in lists]


def model_golden(name, content, config, all_texts):
    folder = HERE / f"tokenizer_{name}"
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.model").write_bytes(content)
    if config:
        (folder / "tokenizer_config.json").write_text(json.dumps(config) + "\n")
    model = pieces.load_model(content)
    ids = random_ids(model.get_piece_size(), 60)
    return {"plain": model.encode(all_texts), "broken": [model.encode(t) for t in broken_texts()],
            "ids": ids, "decoded": model.decode(ids)}


def wrapped(content, legacy, all_texts):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokenizer.model"
        path.write_bytes(content)
        wrapper = pieces.Wrapper(str(path), legacy)
        return [wrapper.ids(text) for text in all_texts]


def json_golden(name, content, all_texts):
    folder = HERE / f"tokenizer_{name}"
    folder.mkdir(exist_ok=True)
    tokenizer = pieces.tokenizer_json(content, name)
    (folder / "tokenizer.json").write_text(
        json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(pieces.CONFIG) + "\n")
    plain = pieces.without_added(tokenizer)
    ids = with_ascii_bytes(random_ids(tokenizer.get_vocab_size(), 60, 500))
    return {"plain": [plain.encode(t, add_special_tokens=False).ids for t in all_texts],
            "parsed": [tokenizer.encode(t, add_special_tokens=False).ids for t in all_texts],
            "ids": ids, "decoded": tokenizer.decode_batch(ids, skip_special_tokens=False),
            "without_special": tokenizer.decode_batch(ids, skip_special_tokens=True)}


def main():
    lines, all_texts = byte_level.corpus(), texts()
    llama = pieces.train_model(lines, 900, **pieces.LLAMA)
    # The model contains the name of the file; without a folder it is always the same.
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        rules = pieces.rules_file(Path("rules.tsv"))
        strict = pieces.train_model(lines, 600, normalization_rule_tsv=rules, **pieces.STRICT)
    config = pieces.wrapper_config(llama, True)
    cases = {
        "texts": all_texts, "broken": [base64.b64encode(t).decode() for t in broken_texts()],
        "llama2": model_golden("llama2", llama, config, all_texts),
        "strict": model_golden("strict", strict, None, all_texts),
        "unused": model_golden("unused", pieces.with_unused(llama), None, all_texts),
        "bare": model_golden("bare", pieces.train_model(lines, 700, **pieces.BARE), None, all_texts),
        "prepend": json_golden("prepend", llama, all_texts),
        "metaspace": json_golden("metaspace", llama, all_texts),
        "legacy": wrapped(llama, True, all_texts), "not_legacy": wrapped(llama, False, all_texts)}
    (HERE / "piece_cases.json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")


main()
