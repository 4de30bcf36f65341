// The Jinja interpreter: compares with what transformers renders (goldens/jinja.json), and checks
// errors with their lines and templates that would never end.

#include <gtest/gtest.h>

#include <string>

#include "data/text/jinja/template.h"
#include "tensor/json.h"
#include "tests/support/text_helpers.h"

namespace vila::data {
namespace {

const Json& goldens() {
    static const Json json =
        parse_json(read_file(VILA_SOURCE_DIR "/tests/goldens/jinja.json"), "jinja.json");
    return json;
}

std::string rendered(const std::string& source, const Json& values = Json::object()) {
    return jinja::Template(source, "T").render(values);
}

std::string error_of(const std::string& source) {
    return message_of([&] { rendered(source, goldens().at("values")); });
}

std::string repeated(const std::string& text, int count) {
    std::string out;
    for (int i = 0; i < count; ++i) out += text;
    return out;
}

TEST(Jinja, RendersAsTransformersDoes) {
    for (const Json& golden : goldens().at("cases")) {
        const auto name = golden.at("name").get<std::string>();
        const auto source = golden.at("template").get<std::string>();
        if (golden.contains("text")) {
            EXPECT_EQ(rendered(source, goldens().at("values")),
                      golden.at("text").get<std::string>())
                << name;
        } else {
            EXPECT_NE(error_of(source), "no error") << name;
        }
    }
}

TEST(Jinja, NamesTheLineOfAnError) {
    EXPECT_EQ(error_of("a\n{{ 1 }}\n{{ missing.x }}"),
              "T line 3: missing is undefined and has no member x");
    EXPECT_EQ(error_of("\n{{ raise_exception('no') }}"),
              "T line 2: the template refuses the conversation: no");
    EXPECT_EQ(error_of("{% for x in numbers %}\n{{ x | nosuch }}{% endfor %}"),
              "T line 2: the filter nosuch is not implemented");
    EXPECT_EQ(error_of("{% if true %}"),
              "T line 1: expected {% endif %}, got the end of the template");
    EXPECT_EQ(error_of("{% include 'x' %}"),
              "T line 1: expected a tag that is implemented: if, for, set, macro, with, filter, "
              "break, continue, generation, raw, got 'include'");
    EXPECT_EQ(error_of("{{ 'a"), "T line 1: a string does not end");
    EXPECT_EQ(error_of("{{ (1 }}"), "T line 1: unexpected '}'");
    EXPECT_EQ(error_of("{{ 1 2 }}"), "T line 1: expected }}, got '2'");
    EXPECT_EQ(error_of("{# a"), "T line 1: a comment does not end");
    EXPECT_EQ(error_of("{{ 9223372036854775807 + 1 }}"), "T line 1: a number is above 2^63 - 1");
    EXPECT_EQ(error_of("{{ 1 // 0 }}"), "T line 1: division by zero");
    EXPECT_EQ(error_of("{% macro m() %}\n{{ 1 }}{% endmacro %}\n{{ m() + missing }}"),
              "T line 3: missing is undefined");
    EXPECT_EQ(error_of("{{ 1e999 | int }}"), "T line 1: a number is above 2^63 - 1");
}

TEST(Jinja, ErrorsAreShort) {
    for (const char* source :
         {"{{ raise_exception('\u00e9' * 100000) }}", "{{ raise_exception('a' * 1000) }}"}) {
        const std::string error = error_of(source);
        EXPECT_TRUE(error.starts_with("T line 1: ")) << error;
        EXPECT_TRUE(error.ends_with("...")) << error;
        EXPECT_LE(error.size(), 260u);
    }
    EXPECT_LE(error_of("{{ " + std::string(100000, 'a') + "() }}").size(), 260u);
}

TEST(Jinja, StopsTemplatesThatWouldNotEnd) {
    EXPECT_EQ(error_of("{% set all = range(999) %}{% for a in all %}{% for b in all %}"
                       "{% set c = a %}{% endfor %}{% endfor %}"),
              "T line 1: the template takes more than 2000000 steps");
    // Each round reads a long text.
    for (const char* expression : {"ns[a]", "a.count('a')", "a.strip('a')", "a[5]", "a | length"})
        EXPECT_EQ(error_of("{% set a = 'a' * 9000000 %}{% set ns = namespace() %}"
                           "{% for i in range(90000) %}{% set c = " +
                           std::string(expression) + " %}{% endfor %}"),
                  "T line 1: the template takes more than 2000000 steps")
            << expression;
    EXPECT_EQ(error_of("{{ 'a' * 1000000000 }}"),
              "T line 1: the template makes more than 67108864 bytes of text");
    EXPECT_EQ(error_of("{{ range(1000000000) }}"),
              "T line 1: the template makes more than 67108864 bytes of text");
    EXPECT_EQ(error_of("{% set a = 'a' * 999 %}{% for i in range(99999) %}{{ a }}{% endfor %}"),
              "T line 1: the template prints more than 16777216 bytes");
    EXPECT_EQ(error_of("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"),
              "T line 1: macros call each other more than 50 levels deep");
    EXPECT_EQ(error_of("{% macro a() %}{% macro b() %}{{ a() }}{% endmacro %}{{ b() }}"
                       "{% endmacro %}{{ a() }}"),
              "T line 1: macros call each other more than 50 levels deep");
    EXPECT_EQ(error_of("{{ 'a'.center(9223372036854775807) }}"),
              "T line 1: the template makes too much text");
    EXPECT_EQ(error_of("{% set ns = namespace(x=1) %}{% for i in range(9999) %}{% set ns.x = "
                       "[ns.x] %}{% endfor %}"),
              "T line 1: lists are nested more than 100 levels deep");
    EXPECT_EQ(error_of("{% set ns = namespace() %}{% set ns.x = [ns] %}"),
              "T line 1: cannot assign a namespace to a member of one");
    // Doubles its text in each round.
    EXPECT_EQ(error_of("{% set ns = namespace(t='ab') %}{% for i in range(99) %}{% set ns.t = "
                       "ns.t.replace('', ns.t) %}"
                       "{% endfor %}"),
              "T line 1: the template makes more than 67108864 bytes of text");
}

// Operations whose result is much larger than the template and its values.
TEST(Jinja, CountsMemoryBeforeItIsAllocated) {
    for (const char* source :
         {"{% for c in 'a' * 9999999 %}{% endfor %}", "{{ range(9999) | join('a' * 99999) }}",
          "{{ ('a' * 99999).join('b' * 9999) }}", "{{ ('a,' * 9999999).split(',') }}",
          "{{ ('\n' * 999999) | indent(1000, blank=true) }}", "{{ ('&' * 33554432) | e }}",
          "{{ ('{0}' * 9999).format('a' * 99999) }}", "{{ ([[1]] * 299999) | tojson(indent=100) }}",
          "{% macro m() %}{{ 'a' * 9999999 }}{{ m() }}{% endmacro %}{{ m() }}",
          "{{ 'a'.ljust(999999999) }}", "{{ ('\u00e9' * 20000000).upper() }}",
          "{{ ([[1] * 999] * 9999) | sum(start=[]) }}"})
        EXPECT_EQ(error_of(source), "T line 1: the template makes more than 67108864 bytes of text")
            << source;
    // A list with 2^91 elements, of which each level is in memory once.
    EXPECT_EQ(error_of("{% set ns = namespace(x=[1]) %}{% for i in range(90) %}{% set ns.x = "
                       "[ns.x, ns.x] %}{% endfor %}{{ ns.x }}"),
              "T line 1: a value has more than 1073741824 bytes");
}

// Single steps that take long.
TEST(Jinja, CountsTheBytesThatAStepReads) {
    std::string members;
    for (int i = 0; i < 99999; ++i) members += std::to_string(i) + ":1,";
    for (const std::string& source :
         {std::string("{% set a = 'a' * 9999999 %}{% set b = 'a' * 9999999 %}"
                      "{% for i in range(9999) %}{% if a == b %}{% endif %}{% endfor %}"),
          std::string("{{ ('a' * 999999).find('a' * 99999 ~ 'b') }}"),
          std::string("{{ ('a' * 99999 ~ 'b') in 'a' * 999999 }}"),
          std::string("{{ range(99999) | unique | list }}"), "{{ {" + members + "} }}"})
        EXPECT_EQ(message_of([&] { jinja::Template(source, "T").render({}, {.steps = 50000}); }),
                  "T line 1: the template takes more than 50000 steps")
            << source.substr(0, 80);
}

// A method holds its object, so that a dict of methods could be nested without end or hold itself.
TEST(Jinja, CountsTheObjectsOfMethods) {
    EXPECT_EQ(error_of("{% set ns = namespace(x={}) %}{% for i in range(9999) %}{% set ns.x = "
                       "{'a': ns.x.items} %}{% endfor %}"),
              "T line 1: lists are nested more than 100 levels deep");
    EXPECT_EQ(error_of("{% set ns = namespace() %}{% set ns.x = {'a': ns}.items %}"),
              "T line 1: cannot assign a namespace to a member of one");
}

// What would silently give other text than Jinja.
TEST(Jinja, RefusesWhatIsNotImplemented) {
    EXPECT_EQ(error_of("{{ 'abc'.startswith('b', 1) }}"),
              "T line 1: startswith() takes at most 1 arguments here");
    EXPECT_EQ(error_of("{{ '{0:>5}'.format(1) }}"), "T line 1: format(): no value for {0:>5}");
    EXPECT_EQ(error_of("{{ '11' | int(0, 2) }}"),
              "T line 1: int: a base other than 10 is not implemented");
    EXPECT_EQ(error_of("{{ numbers | length(1) }}"),
              "T line 1: the filter length takes at most 0 arguments");
    EXPECT_EQ(error_of("{% set ns = namespace() %}{% for x in numbers %}{% macro m() %}{{ x }}"
                       "{% endmacro %}{% set ns.m = m %}{% endfor %}{{ ns.m() }}"),
              "T line 1: a macro is called outside the block in which it is defined");
    EXPECT_EQ(error_of("{% set ns = namespace() %}{% for x in numbers %}{% macro m() %}{{ x }}"
                       "{% endmacro %}{% set ns.m = m %}{% endfor %}{% for x in numbers %}"
                       "{{ ns.m() }}{% endfor %}"),
              "T line 1: a macro is called outside the block in which it is defined");
    EXPECT_EQ(error_of("{{ range(2) }}"),
              "T line 1: a range cannot be printed: make it a list with | list");
    EXPECT_EQ(error_of("{{ namespace() }}"), "T line 1: a namespace cannot be printed");
    EXPECT_EQ(error_of("{{ dict([1]) }}"), "T line 1: dict() takes a dict and keyword arguments");
}

TEST(Jinja, KeepsBytesThatAreNotUtf8) {
    EXPECT_EQ(rendered("{{ x | trim }}|{{ x.split() | length }}|{{ x | length }}",
                       {{"x", " a\xe3\x80 \x85"}}),
              "a\xe3\x80 \x85|2|6");
}

TEST(Jinja, SurvivesTheSmallestInteger) {
    const std::string least = "(-9223372036854775807 - 1)";
    EXPECT_EQ(rendered("{{ 'aa'.replace('a', 'b', " + least + ") }}"), "bb");
    EXPECT_EQ(rendered("{{ 'a b'.split(' ', " + least + ") | length }}"), "2");
    EXPECT_EQ(rendered("{{ 'abc'[" + least + ":] }}{{ 'abc'[::" + least + "] }}"), "abcc");
    EXPECT_EQ(rendered("{{ [1][" + least + "] is defined }}"), "False");
}

TEST(Jinja, RefusesDeepNesting) {
    constexpr int kDeep = 100000;
    EXPECT_EQ(error_of("{{ " + repeated("(", kDeep) + "1" + repeated(")", kDeep) + " }}"),
              "T line 1: nested more than 100 levels deep, got '('");
    EXPECT_EQ(error_of("{{ " + repeated("not ", kDeep) + "x }}"),
              "T line 1: nested more than 100 levels deep, got 'not'");
    EXPECT_EQ(error_of("{{ 1" + repeated(" + 1", kDeep) + " }}"),
              "T an expression is nested more than 200 levels deep");
    EXPECT_EQ(error_of("{{ x" + repeated("|e", kDeep) + " }}"),
              "T an expression is nested more than 200 levels deep");
    for (const char* tag : {"{% if 1 %}", "{% with %}", "{% filter upper %}", "{% macro m() %}"})
        EXPECT_NE(error_of(repeated(tag, kDeep)), "no error") << tag;
    EXPECT_EQ(
        error_of("{% macro m() %}{{ m()" + repeated(" + '1'", 190) + " }}{% endmacro %}{{ m() }}"),
        "T line 1: the template is nested more than 2000 levels deep");
    EXPECT_EQ(error_of("{{ " + repeated("[", kDeep)), "T line 1: a tag does not end: expected }}");
}

TEST(Jinja, RefusesSourcesOverAMebibyte) {
    EXPECT_EQ(error_of(std::string((1 << 20) + 1, 'a')),
              "T has 1048577 bytes: expected at most 1048576");
}

}  // namespace
}  // namespace vila::data
