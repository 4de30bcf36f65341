"""Makes tests/goldens/jinja.json: templates that use what published chat templates use, and what the
environment of transformers renders from them. Needs transformers and jinja2.

    python tests/goldens/make_jinja_goldens.py
"""

import json
from pathlib import Path

from transformers.utils.chat_template_utils import _compile_jinja_template

TALK = [{"role": "system", "content": " Be brief. "}, {"role": "user", "content": "What is red?"},
        {"role": "assistant", "content": "The circle.\n"}, {"role": "user", "content": "And é 日本?"}]
PARTS = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is this?"}]},
         {"role": "assistant", "content": [{"type": "text", "text": "A cat."}]}]
VALUES = {"messages": TALK, "parts": PARTS, "bos_token": "<s>", "eos_token": "</s>", "tools": None,
          "add_generation_prompt": True, "numbers": [3, 1, 2], "names": ["b", "A", "c", "A"],
          "deep": {"b": {"c": [1, 2.5, True, None, "x\"y'\n"]}, "a": "z"}, "text": "  two  words ", "zero": 0,
          "empty": "", "n": 7}

TEMPLATES = {
    "loop": "{% for m in messages %}{{ loop.index }}/{{ loop.length }} {{ loop.index0 }} {{ loop.revindex }} "
            "{{ loop.first }} {{ loop.last }} {{ m.role }}: {{ m['content'] }}\n{% else %}none{% endfor %}",
    "loop neighbors": "{% for n in numbers %}{{ loop.previtem }}<{{ n }}>{{ loop.nextitem }} {% endfor %}",
    "loop with condition": "{% for m in messages if m.role != 'system' %}{{ loop.index }}{{ m.role }} {% endfor %}",
    "empty loop": "{% for m in [] %}x{% else %}nothing{% endfor %}",
    "loop over a missing name": "{% for m in missing %}x{% endfor %}.",
    "break and continue": "{% for n in range(9) %}{% if n == 2 %}{% continue %}{% endif %}"
                          "{% if n > 4 %}{% break %}{% endif %}{{ n }}{% endfor %}",
    "unpacking": "{% for k, v in deep.items() %}{{ k }}={{ v }};{% endfor %}{% set a, b = [1, 2] %}{{ a + b }}",
    "white space": "  {% if true %}\n    a\n  {% endif %}\n  {%- if true -%}  \n b {%- endif %}\n\n{# note #}\nend\n",
    "kept white space": "x\n   {%+ if true %}\n y{% endif +%}\nz{#- gone -#} w",
    "text": "{{ 'it''s' ~ \"a\\tb\\u00e9\" }}{% raw %}{{ x }}{% endraw %}",
    "scopes": "{% set x = 1 %}{% for n in numbers %}{% set x = n %}{{ x }}{% endfor %}{{ x }}"
              "{% if true %}{% set x = 9 %}{% endif %}{{ x }}",
    "namespace": "{% set ns = namespace(last='', n=0) %}{% for m in messages %}{% set ns.last = m.role %}"
                 "{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.last }} {{ ns.n }}",
    "block set": "{% set t %}a {{ n }}{% endset %}[{{ t }}]{% set u | upper %}b{% endset %}{{ u }}",
    "macro": "{% macro turn(role, content='?', end='\\n') %}<{{ role }}>{{ content }}{{ end }}{% endmacro %}"
             "{{ turn('a') }}{{ turn('b', end='!', content='c') }}",
    "recursive macro": "{% macro down(k) %}{{ k }}{% if k > 0 %} {{ down(k - 1) }}{% endif %}{% endmacro %}{{ down(3) }}",
    "conditional": "{{ 'a' if add_generation_prompt else 'b' }}{{ 'c' if false }}{{ 1 if zero else 2 if n else 3 }}",
    "logic": "{{ zero or 'x' }} {{ n and 'y' }} {{ not empty }} {{ not n is defined }} {{ 1 < n <= 7 }} {{ n != 7 }}",
    "membership": "{{ 'e' in 'hey' }} {{ 2 in numbers }} {{ 'a' in deep }} {{ 'q' not in deep }}",
    "arithmetic": "{{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 5 }} {{ 1.5 + 1 }} {{ n * 2 - 1 }} "
                  "{{ 'ab' * 2 }} {{ [1] + [2] }} {{ 6 / 3 }} {{ 1e3 }} {{ 1e16 }} {{ 0.1 + 0.2 }}",
    "concatenation": "{{ 'a' ~ 1 ~ none ~ true ~ 1.0 ~ missing ~ [1, 'x'] }}",
    "comparison": "{{ 'a' < 'b' }} {{ [1, 2] == [1, 2] }} {{ 1 == 1.0 }} {{ true == 1 }} {{ 'a' == 1 }}",
    "slices": "{{ text[2:5] }}|{{ messages[1:][0].role }}|{{ numbers[::-1] }}|{{ 'é日本'[1] }}|{{ numbers[-1] }}|"
              "{{ 'abc'[:-1] }}|{{ messages[-1]['content'] }}|{{ numbers[9] is defined }}",
    "string methods": "{{ text.strip() }}|{{ text.lstrip() }}|{{ text.rstrip() }}|{{ 'a,b,c'.split(',') }}|"
                      "{{ ' a  b '.split() }}|{{ 'a-b-c'.split('-', 1) }}|{{ 'Abc'.upper() }}{{ 'Abc'.lower() }}|"
                      "{{ 'hello world'.title() }}|{{ 'hELLO'.capitalize() }}|{{ 'aXbX'.replace('X', '-') }}|"
                      "{{ 'abc'.startswith('ab') }}{{ 'abc'.endswith(('x', 'c')) }}|{{ '-'.join(['a', 'b']) }}|"
                      "{{ 'abcb'.find('b') }}{{ 'abcb'.count('b') }}|{{ 'xxabxx'.strip('x') }}|{{ '{} {}'.format(1, 'a') }}",
    "dict methods": "{{ deep.get('a') }} {{ deep.get('q', 'd') }} {{ deep.keys() | list }} {{ deep['b'].c[0] }} "
                    "{% for k, v in {'x': 1, 'y': [2]}.items() %}{{ k ~ v }}{% endfor %} {{ deep.missing is defined }}",
    "filters": "{{ text | trim }}|{{ numbers | length }}|{{ numbers | first }}{{ numbers | last }}|{{ 'ab' | upper }}|"
               "{{ names | join('+') }}|{{ missing | default('d') }}|{{ '' | default('e', true) }}|{{ 'aXb' | replace('X', '') }}|"
               "{{ numbers | sort }}|{{ names | sort }}|{{ names | unique | list }}|{{ numbers | reverse | list }}|{{ '5' | int + 1 }}|"
               "{{ 2.7 | int }}|{{ 3 | string + 'x' }}|{{ 'a b' | capitalize }}|{{ '<a&b>' | e }}|{{ numbers | max }}{{ numbers | min }}|"
               "{{ -3 | abs }}|{{ 'x' | list }}|{{ 'one\ntwo' | indent(2) }}|{{ 'one\n\ntwo' | indent(2, true) }}",
    "selection": "{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | join('|') }}|"
                 "{{ messages | rejectattr('role', 'in', ['user', 'system']) | list | length }}|"
                 "{{ numbers | select('odd') | list }}{{ numbers | reject('gt', 2) | list }}|{{ names | map('lower') | join }}|"
                 "{{ messages | selectattr('name', 'defined') | list }}",
    "tests": "{{ missing is defined }}{{ missing is undefined }}{{ none is none }}{{ 'a' is string }}{{ deep is mapping }}"
             "{{ numbers is iterable }}{{ numbers is sequence }}{{ 1 is number }}{{ 1 is integer }}{{ 1.0 is float }}"
             "{{ true is boolean }}{{ true is true }}{{ false is false }}{{ 3 is odd }}{{ 4 is even }}{{ 4 is divisibleby 2 }}"
             "{{ 'a' is not none }}{{ 1 is eq 1 }}{{ 'a' is in ['a'] }}{{ n is not string }}",
    "tojson": "{{ deep | tojson }}\n{{ deep | tojson(indent=2) }}\n{{ 'é\"\\n' | tojson }}{{ [] | tojson(indent=4) }}",
    "printing": "{{ deep }} {{ true }} {{ none }} {{ numbers }} {{ 1.0 }} {{ \"it's\" }} {{ [\"it's\", 'a\"b'] }}",
    "parts": "{% for m in parts %}{% for p in m.content %}{% if p['type'] == 'image' %}<image>\n{% else %}{{ p.text }}{% endif %}"
             "{% endfor %}{% for p in m.content | selectattr('type', 'equalto', 'image') %}I{% endfor %}{% endfor %}",
    "chatml": "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
              "{% set system = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% endif %}"
              "{{ bos_token }}{% if system is defined %}{{ '<|im_start|>system\\n' + system | trim + '<|im_end|>\\n' }}{% endif %}"
              "{%- for message in loop_messages -%}\n{{ '<|im_start|>' + message.role + '\\n' + message.content }}<|im_end|>\n"
              "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    "generation": "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{% endif %}{% endfor %}",
    "integer keys": "{% set sizes = {0: 'none', 512: 'some'} %}{{ sizes[512] }}{{ 0 in sizes }}{{ sizes.get(1, 'q') }}",
    "numbers": "{{ '3.7' | int }} {{ ' 42 ' | int }} {{ '+5' | int }} {{ 'x' | int(7) }} {{ none | int }} {{ '1e2' | float }} "
               "{{ 7 | round }} {{ 2.5 | round }} {{ 1.15 | round(1) }} {{ 1.2 | round(0, 'ceil') }} {{ 1.29 | round(1, 'floor') }} "
               "{{ -7.5 // 2 }} {{ 5.3 % 0.1 }} {{ 5.3 % -2 }} {{ 1e-05 }}",
    "order": "{{ [['b', 1], ['a', 1], ['c', 0]] | sort(attribute=1, reverse=true) | map('first') | join }}"
             "{{ ['b', 'A', 'a'] | sort(case_sensitive=true) | join }}{{ ['a', 'A', 'b'] | unique | list }}"
             "{{ ['b', 'A'] | min }}{{ ['b', 'C'] | max }}{{ messages | unique(attribute='role') | map(attribute='role') | list }}"
             "{% for k, v in {'b': 1, 'A': 2} | dictsort %}{{ k }}{{ v }}{% endfor %}"
             "{% for k, v in {'b': 1, 'A': 2} | dictsort(by='value', reverse=true) %}{{ k }}{{ v }}{% endfor %}",
    "white space of texts": "[{{ ' \u00a0x\u3000' | trim }}]{{ ' a b  c ' .split(none, 1) }}{{ 'a b'.rsplit() }}"
                            "{{ 'a\r\nb\x0bc\n'.splitlines() }}{{ 'a\nb'.splitlines(true) }}{{ 'aaa'.replace('a', 'b', 2) }}"
                            "{{ 'abc'.replace('', '-') }}{{ 'abc'.replace('', '-', 2) }}",
    "titles": "{{ \"it's a-b\" | title }} {{ \"it's a-b\".title() }} {{ 11 | replace(1, 2) }}",
    "options of tojson": "{{ deep | tojson(separators=(',', ':')) }}{{ {'b': 1, 'a': 'é😀'} | tojson(ensure_ascii=true, sort_keys=true) }}"
                         "{{ [1] | tojson(2) }}{{ [1e999] | tojson }}",
    "scopes of blocks": "{% set t %}{% set a = 1 %}{% endset %}{{ a is defined }}{% for x in [] %}{% else %}{% set b = 1 %}{% endfor %}"
                        "{{ b is defined }}{% generation %}{% set c = 1 %}{% endgeneration %}{{ c is defined }}",
    "raw": "a\n  {% raw %}\n {{ x }}\n  {% endraw %}\nb {%- raw -%} y {%+ endraw %} c {% raw %} z {%- endraw -%} d",
    "tests of type": "{{ 1 is sameas true }}{{ '' is lower }}{{ '12' is upper }}{{ 'a1' is lower }}{{ missing is callable }}",
    "equal dicts": "{{ {'a': 1, 'b': [2]} == {'b': [2.0], 'a': true} }}{{ {'a': 1} == {'a': 2} }}{{ {1: 2} == {'1': 2} }}",
    "characters": "{{ 'é日本'[-1] }}{{ 'é日本'[1:] }}{{ 'é日本'[:-1] }}{{ 'é日本'[::-1] }}{{ 'é日本' | first }}{{ 'é日本' | last }}"
                  "{{ 'é日本' | length }}{{ ['\x01\x7f'] }}",
    "macros inside blocks": "{% for m in messages %}{% macro r(x) %}<{{ x }}{{ m.role }}>{% endmacro %}{{ r('a') }}{% endfor %}"
                            "{% if n %}{% macro q() %}q{% endmacro %}{% endif %}{{ q() }}"
                            "{% macro a(x) %}{% macro b(y) %}{{ y }}{{ x }}{{ n }}{% endmacro %}{{ b(1) }}{% endmacro %}{{ a(2) }}"
                            "{% for n in numbers %}{% macro inner() %}{{ n }}{% set k = 1 %}{% endmacro %}{% for n in names %}"
                            "{{ inner() }}{% endfor %}{% endfor %}{{ k is defined }}",
    "with": "{% with x = n, y = x %}{{ x }}{{ y is defined }}{% set z = 3 %}{% endwith %}{{ x is defined }}{{ z is defined }}"
            "{% with %}a{% endwith %}",
    "filter blocks": "{% filter upper %}a{{ n }}{% set q = 1 %}{% endfilter %}{{ q is defined }}"
                     "{% filter trim | replace('b', 'c') %} b {% endfilter %}",
    "tuples": "{{ (1, 'a') }}{{ (1,) }}{{ () }}{{ 1, 2 }}{% set t = ('a', 'b', 'c') %}{{ t[1:] }}{{ t | list }}{{ t | tojson }}{{ t + (1,) }}"
              "{{ (1,) * 2 }}{{ (1, 2) == [1, 2] }}{{ (1, 2) == (1, 2) }}{{ (1, 2) < (1, 3) }}{{ deep.items() | list | first }}"
              "{{ {'a': 1} | dictsort }}{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "views of dicts": "{{ deep.keys() }}{{ {'a': 1}.values() }}{{ {'a': [1]}.items() }}{{ deep.keys() | list }}{{ range(3) | list }}",
    "depth of loops": "{% for x in numbers %}{{ loop.depth }}{{ loop.depth0 }}{% for y in numbers %}{{ loop.depth }}{% endfor %}{% endfor %}",
    "letters": "{{ 'é ß ﬁ ΑΣ ж' | upper }}{{ 'É İ ΑΣ Ж' | lower }}{{ 'éa ßa ǆa-éa' | title }}{{ 'éa ßa ǆa-éa'.title() }}{{ 'ßA É' | capitalize }}"
               "{{ 'ÉA' is upper }}{{ 'éA' is lower }}{{ ['é', 'É', 'e'] | sort }}",
    "search": "{{ 'abcé-b'.find('b', 2) }}{{ 'abcé-b'.rfind('b') }}{{ 'abcb'.rfind('b', 0, 3) }}{{ 'aé-b'.index('-') }}{{ 'abab'.rindex('a') }}"
              "{{ 'abc'.find('c', 9) }}{{ 'abc'.find('b', -2) }}{{ 'abc'.find('b', -9, -1) }}{{ 'abc'.find('', 3) }}{{ 'abc'.find('', 4) }}{{ 'abc'.rfind('') }}"
              "{{ 'a-b-c'.partition('-') }}{{ 'a-b-c'.rpartition('-') }}{{ 'a'.partition('-') }}{{ 'a'.rpartition('-') }}"
              "{{ 'aab'.removeprefix('a') }}{{ 'abb'.removesuffix('b') }}{{ 'x'.removeprefix('y') }}{{ 'x'.removesuffix('') }}",
    "padding": "{{ 'é'.ljust(3) }}|{{ 'a'.rjust(3, 'é') }}|{{ 'a'.center(4) }}|{{ 'ab'.center(5, '*') }}|{{ 'ab'.center(-5) }}|{{ 'ab'.center(4) }}|",
    "sums": "{{ numbers | sum }}{{ [{'a': 1}, {'a': 2.5}] | sum(attribute='a') }}{{ [] | sum }}{{ [1] | sum(start=4) }}{{ [[1], [2]] | sum(start=[]) }}"
            "{{ {'a': 1}.copy() }}",
    "octal escapes": "{{ '\\101\\0\\7777' }}",
    "formats": "{{ '%s has %d' % ('é', 7) }}|{{ '%s' % 'a' }}|{{ '%s' % [1, 'a'] }}|{{ '%s' % none }}|{{ '%s%s' % (true, 1.5) }}|"
               "{{ '%r %r' % (\"a'b\", 2.0) }}|{{ '100%%' % () }}|{{ '%s' % missing }}|{{ '%s' % deep }}|{{ 'a' % [1] }}|{{ 'a' % {} }}",
    "formats of numbers": "{{ '%05d|%-5d|%+d|% d|%5d|%.3d|%i|%u' % (7, 7, 7, 7, -7, 7, 7.9, -7.9) }}|{{ '%x %X %o %x' % (255, 255, 8, -255) }}|"
                          "{{ '%.2f|%8.3f|%-8.1f|%+.0f|%08.2f|%f' % (1.005, 3.14159, 2.25, 2.5, -1.5, 1) }}|{{ '%e %E %g %G %.3g' % (12345.678, 0.00012, 1e10, 1e-10, 2.0) }}|"
                          "{{ '%d' % true }}|{{ '%c%c' % ('é', 97) }}|{{ '%f %F %5.1f' % (1e999, 1e999, -1e999) }}|{{ '%d' % -9223372036854775807 }}",
    "formats with widths": "{{ '[%5s]' % 'é' }}{{ '[%-5s]' % 'ab' }}{{ '[%.2s]' % 'é日本' }}{{ '[%5.1s]' % 'ab' }}{{ '[%*d]' % (5, 3) }}{{ '[%-*d]' % (5, 3) }}"
                           "{{ '[%*d]' % (-5, 3) }}{{ '[%.*f]' % (2, 3.14159) }}{{ '[%05s]' % 'a' }}{{ '[%-05d]' % 3 }}{{ '[%5c]' % 'x' }}{{ '[%.3r]' % 'abcdef' }}{{ '%ld' % 3 }}",
    "formats by name": "{{ '%(a)s-%(b)03d' % {'a': 'x', 'b': 7} }}|{{ '%(a)s' % {'a': 1, 'unused': 2} }}|"
                       "{{ '%s and %s' | format('a', 'b') }}|{{ '%(x)s' | format(x=1) }}|{{ 'plain' | format }}",
    # Refused by both.
    "a format without values": "{{ '%s %s' % 'a' }}",
    "a format with a value too many": "{{ '%s' % ('a', 'b') }}",
    "a format of a value without use": "{{ 'a' % 1 }}",
    "a format of text as a number": "{{ '%d' % '7' }}",
    "a format of a float in base 16": "{{ '%x' % 1.5 }}",
    "a format with a width before %": "{{ '%5%' % 1 }}",
    "a format with and without names": "{{ '%(a)s %s' % {'a': 1} }}",
    "a format that ends": "{{ '%5' % 1 }}",
    "a format of an unknown kind": "{{ '%y' % 1 }}",
    "a format without the name": "{{ '%(a)s' % {'b': 1} }}",
    "a format of names without a dict": "{{ '%(a)s' % ('b',) }}",
    "a format of a long text as a character": "{{ '%c' % 'ab' }}",
    "a format of infinity as an integer": "{{ '%d' % 1e999 }}",
    "index of nothing": "{{ 'abc'.index('d') }}",
    "empty separator": "{{ 'abc'.partition('') }}",
    "sum of a tuple and a list": "{{ (1,) + [2] }}",
    "sum of a list and a range": "{{ [1] + range(2) }}",
    "order of a tuple and a list": "{{ (1,) < [2] }}",
    "a range as JSON": "{{ range(2) | tojson }}",
    "int of nothing": "{{ missing | int }}",
    "power of zero": "{{ 0 ** -1 }}",
    "unknown keyword of a macro": "{% macro m(a) %}{% endmacro %}{{ m(b=1) }}",
    "argument given twice": "{% macro m(a) %}{% endmacro %}{{ m(1, a=1) }}",
    "member of a missing member": "{{ [{}] | map(attribute='a.b') | list }}",
    "raised": "{{ raise_exception('roles must alternate') }}",
    "member of nothing": "{{ missing.x }}",
    "sum of str and int": "{{ 'a' + 1 }}",
    "unknown filter": "{{ 'a' | nosuchfilter }}",
    "unfinished": "{% if true %}a",
    "call of nothing": "{{ missing() }}",
}


def rendered(source):
    try:
        return {"text": _compile_jinja_template(source).render(**VALUES)}
    except Exception as error:  # noqa: BLE001
        return {"refused": f"{type(error).__name__}: {error}"}


cases = [{"name": name, "template": source, **rendered(source)} for name, source in TEMPLATES.items()]
path = Path(__file__).parent / "jinja.json"
path.write_text(json.dumps({"values": VALUES, "cases": cases}, indent=1, ensure_ascii=False) + "\n")
