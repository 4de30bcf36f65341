"""Writes tables of C++ source. Used by make_case_tables.py and make_unicode_tables.py."""


def table(kind, name, comment, rows):
    lines = [f"\n// {comment}", f"constexpr {kind} {name}[] = {{"]
    line = ""
    for row in rows:
        cell = "{" + ",".join(row) + "}," if len(row) > 1 else row[0] + ","
        if len(line) + len(cell) > 100:
            lines.append(line)
            line = ""
        line += cell
    return "\n".join(lines + [line, "};"])


def hexadecimal(*codes):
    return [f"0x{code:X}" for code in codes]
