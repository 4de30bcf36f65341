"""Writes piece_spaces.json: ids of the Hugging Face tokenizers for tokenizer_metaspace/tokenizer.json with
other rules for spaces, as transformers 5 writes them: in the normalizer and in the pre_tokenizer at once.
Needs: tokenizers 0.23.3.

    python tests/goldens/make_space_goldens.py
"""

import json
from pathlib import Path

from tokenizers import Tokenizer

HERE = Path(__file__).resolve().parent
REPLACE = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
PREPEND = {"type": "Prepend", "prepend": "\u2581"}
RULES = {
    "replace_first": ([REPLACE], "first", False),
    "replace_always_split": ([{"type": "NFC"}, REPLACE], "always", True),
    "prepend_first": ([PREPEND, REPLACE], "first", False),
    "prepend_split": ([PREPEND, REPLACE], "never", True),
}
TEXTS = 150


def main():
    base = json.loads((HERE / "tokenizer_metaspace" / "tokenizer.json").read_text())
    texts = json.loads((HERE / "piece_cases.json").read_text())["texts"]
    texts = texts[:TEXTS] + ["hello world", " hello", "<norm> x", "a <norm> b", "x\u2581caf\u00e9\u2581tok y"]
    cases = {"texts": texts}
    for name, (normalizers, scheme, split) in RULES.items():
        base["normalizer"] = {"type": "Sequence", "normalizers": normalizers}
        metaspace = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": split}
        base["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [metaspace]}
        tokenizer = Tokenizer.from_str(json.dumps(base))
        cases[name] = {"normalizer": base["normalizer"], "pre_tokenizer": base["pre_tokenizer"],
                       "ids": [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]}
    (HERE / "piece_spaces.json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")


main()
