"""Writes case_tables.h: the upper, lower and title case of each character, as the methods of Python's str return them.
Chat templates call these methods. Needs Python alone; the version of Unicode is that of its unicodedata module.

    python data/text/make_case_tables.py
"""

import unicodedata
from pathlib import Path

from cpp_tables import hexadecimal, table

CODES = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]


def runs(mapping):
    """Rows (first, last, stride, shift) of codes that map to themselves plus a shift."""
    found = []
    for code, target in sorted(mapping.items()):
        shift = target - code
        if found and found[-1][3] == shift:
            first, last, stride, _ = found[-1]
            gap = code - last
            if (first == last and gap <= 2) or gap == stride:
                found[-1] = [first, code, gap, shift]
                continue
        found.append([code, code, 1, shift])
    return found


def ranges(codes):
    found = []
    for code in codes:
        if found and found[-1][1] == code - 1:
            found[-1][1] = code
        else:
            found.append([code, code])
    return found


def ends_as_final_sigma(text):
    return (text + "\u03a3").lower().endswith("\u03c2")


def case_table(name, comment, mapping):
    single = {code: ord(text) for code, text in mapping.items() if len(text) == 1}
    return table("CaseRange", name, comment,
                 [hexadecimal(first, last) + [str(stride), str(shift)] for first, last, stride, shift in runs(single)])


def texts_table(name, comment, mapping):
    rows = [hexadecimal(code) + ['"' + "".join(f"\\x{byte:02x}" for byte in text.encode()) + '"']
            for code, text in sorted(mapping.items()) if len(text) > 1]
    return table("CaseText", name, comment, rows)


upper = {code: chr(code).upper() for code in CODES if chr(code).upper() != chr(code)}
lower = {code: chr(code).lower() for code in CODES if chr(code).lower() != chr(code)}
title = {code: chr(code).title() for code in CODES if chr(code).title() != chr(code).upper()}
# A letter after another is in lower case in a title.
cased = [code for code in CODES if (chr(code) + "a").title()[-1] == "a"]
ignored = [code for code in CODES if ends_as_final_sigma("a" + chr(code)) and not ends_as_final_sigma("1" + chr(code))]

types = """// The codes first, first + stride, ..., last map to themselves plus a shift.
struct CaseRange {
    uint32_t first, last, stride;
    int32_t shift;
};
// A code that maps to several characters, in UTF-8.
struct CaseText {
    uint32_t code;
    const char* text;
};
struct CaseProperty {
    uint32_t first, last;
};"""
tables = [
    case_table("kUpper", "Upper case.", upper),
    texts_table("kUpperTexts", "Upper case of several characters.", upper),
    case_table("kLower", "Lower case.", lower),
    texts_table("kLowerTexts", "Lower case of several characters.", lower),
    case_table("kTitle", "Title case, where it differs from upper case.", title),
    texts_table("kTitleTexts", "Title case of several characters, where it differs from upper case.", title),
    table("CaseProperty", "kCased", "Letters that have a case.", [hexadecimal(*pair) for pair in ranges(cased)]),
    table("CaseProperty", "kCaseIgnored", "Characters that do not separate the letters around them, for the final sigma.",
          [hexadecimal(*pair) for pair in ranges(ignored)]),
]
text = f"""#pragma once

// Written by data/text/make_case_tables.py from Unicode {unicodedata.unidata_version}; do not edit. Included by
// data/text/letter_case.cpp only.

#include <cstdint>

namespace vila::data {{

{types}

// clang-format off"""
text += "\n" + "\n".join(tables) + "\n\n// clang-format on\n\n}  // namespace vila::data\n"
(Path(__file__).parent / "case_tables.h").write_text(text)
