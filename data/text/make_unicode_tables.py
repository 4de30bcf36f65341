"""Writes unicode_classes.h (letters, numbers, word characters) and unicode_composition.h (canonical composition).

The tables follow the `tokenizers` package, whose ids must be matched, rather than the newest
Unicode: letters and numbers are those of its regular expressions (Unicode 16), compositions those of
its NFC normalizer (an older one); word characters are those that must not touch an added token marked
single_word. Needs: tokenizers 0.23.3, unicodedata2 16.0.0.

    python data/text/make_unicode_tables.py
"""

from pathlib import Path

import unicodedata2 as unicode
from cpp_tables import hexadecimal, table
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

CODES = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
nfc = normalizers.NFC().normalize_str
nfd = normalizers.NFD().normalize_str


def ranges(codes):
    found = []
    for code in codes:
        if found and found[-1][1] == code - 1:
            found[-1][1] = code
        else:
            found.append([code, code])
    return found


def matching(pattern):
    removing = pre_tokenizers.Split(Regex(pattern), "removed")
    return [code for code in CODES if not removing.pre_tokenize_str(chr(code))]


def beside_single_words():
    """Characters that keep a token marked single_word from being found."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.add_tokens([AddedToken("<", single_word=True, normalized=False)])
    return [code for code, found in zip(CODES, tokenizer.encode_batch([chr(c) + "<" for c in CODES]))
            if chr(code) != "<" and not found.ids]


def combining_class(code):
    # The normalizer knows a mark only if it sorts it after a mark of class 1 (U+0334).
    value = unicode.combining(chr(code))
    if value > 1 and nfd("a" + chr(code) + "\u0334") == "a" + chr(code) + "\u0334":
        return 0
    return value


def one_step(code):
    """The canonical mapping of a character as one or two characters; None if it has none."""
    field = unicode.decomposition(chr(code))
    if not field or field.startswith("<") or nfd(chr(code)) == chr(code):
        return None
    return [int(part, 16) for part in field.split()]


def write(name, types, tables):
    text = f"""#pragma once

// Written by data/text/make_unicode_tables.py; do not edit. Included by data/text/unicode.cpp only.

#include <cstdint>

namespace vila::data {{

{types}

// clang-format off"""
    text += "\n" + "\n".join(tables) + "\n\n// clang-format on\n\n}  // namespace vila::data\n"
    (Path(__file__).parent / name).write_text(text)


combining = [(code, combining_class(code)) for code in CODES if unicode.combining(chr(code))]
combining = [pair for pair in combining if pair[1]]
runs = []
for code, value in combining:
    if runs and runs[-1][1] == code - 1 and runs[-1][2] == value:
        runs[-1][1] = code
    else:
        runs.append([code, code, value])

letters = set(matching(r"\p{L}"))
hangul = range(0xAC00, 0xAC00 + 11172)
steps = [(code, one_step(code)) for code in CODES if code not in hangul]
steps = [(code, step) for code, step in steps if step]
pairs = sorted((step[0], step[1], row) for row, (code, step) in enumerate(steps)
               if len(step) == 2 and nfc(chr(code)) == chr(code))

write("unicode_classes.h", """struct CodeRange {
    uint32_t first, last;
};""", [
    table("CodeRange", "kLetters", "General categories Lu, Ll, Lt, Lm, Lo.",
          [hexadecimal(*pair) for pair in ranges(sorted(letters))]),
    table("CodeRange", "kNumbers", "General categories Nd, Nl, No.",
          [hexadecimal(*pair) for pair in ranges(matching(r"\p{N}"))]),
    table("CodeRange", "kWordMarks", "Word characters that are not letters.",
          [hexadecimal(*pair) for pair in ranges(sorted(set(beside_single_words()) - letters))]),
])
write("unicode_composition.h", """struct CombiningRange {
    uint32_t first, last;
    int32_t combining_class;
};
struct Decomposition {
    uint32_t code, first, second;  // second 0: the character is another spelling of `first`
};""", [
    table("CombiningRange", "kCombining", "Canonical combining classes other than 0.",
          [hexadecimal(first, last) + [str(value)] for first, last, value in runs]),
    table("Decomposition", "kDecompositions",
          "Canonical mappings, one step, without Hangul; sorted by code.",
          [hexadecimal(code, step[0]) + (hexadecimal(step[1]) if len(step) == 2 else ["0"])
           for code, step in steps]),
    table("uint16_t", "kCompositions",
          "Rows of kDecompositions that also hold backward, sorted by first, then second.",
          [[str(row)] for _, _, row in pairs]),
])
