// The Jinja interpreter: what transformers renders from the same templates (goldens/jinja.json),
// errors with their line, and templates that would never end.

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
    EXPECT_EQ(error_of("{% if true %}"), "T line 1: expected {% endif %}, got the end of the tag");
    EXPECT_EQ(error_of("{% include 'x' %}"),
              "T line 1: expected a tag that is implemented: if, for, set, macro, break, continue, "
              "generation, "
              "raw, got 'include'");
    EXPECT_EQ(error_of("{{ 'a"), "T line 1: a string does not end");
    EXPECT_EQ(error_of("{{ (1 }}"), "T line 1: unexpected '}'");
    EXPECT_EQ(error_of("{{ 1 2 }}"), "T line 1: expected }}, got '2'");
    EXPECT_EQ(error_of("{# a"), "T line 1: a comment does not end");
    EXPECT_EQ(error_of("{{ 9223372036854775807 + 1 }}"), "T line 1: a number is above 2^63 - 1");
    EXPECT_EQ(error_of("{{ 1 // 0 }}"), "T line 1: division by zero");
}

TEST(Jinja, StopsTemplatesThatWouldNotEnd) {
    EXPECT_EQ(error_of("{% for a in range(9999) %}{% for b in range(9999) %}{% set c = a %}{% "
                       "endfor %}{% endfor %}"),
              "T line 1: the template takes more than 2000000 steps");
    EXPECT_EQ(error_of("{{ 'a' * 1000000000 }}"),
              "T line 1: the template makes more than 67108864 bytes of text");
    EXPECT_EQ(error_of("{{ range(1000000000) }}"),
              "T line 1: the template makes more than 67108864 bytes of text");
    EXPECT_EQ(error_of("{% set a = 'a' * 999 %}{% for i in range(99999) %}{{ a }}{% endfor %}"),
              "T line 1: the template prints more than 16777216 bytes");
    EXPECT_EQ(error_of("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"),
              "T line 1: macros call each other more than 50 levels deep");
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
    EXPECT_NE(error_of(repeated("{% if 1 %}", kDeep)), "no error");
    EXPECT_EQ(error_of("{{ " + repeated("[", kDeep)), "T line 1: a tag does not end: expected }}");
}

TEST(Jinja, RefusesSourcesOverAMebibyte) {
    EXPECT_EQ(error_of(std::string((1 << 20) + 1, 'a')),
              "T has 1048577 bytes: expected at most 1048576");
}

}  // namespace
}  // namespace vila::data
