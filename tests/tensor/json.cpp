// The JSON parser reads values as Python's json does, and its errors name line and column.

#include "tensor/json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>

#include "tensor/check.h"
#include "tensor/json_fields.h"
#include "tests/support/temporary_directory.h"

using namespace vila;

namespace {

std::string error_of(const std::string& text, RepeatedKeys repeated_keys = RepeatedKeys::KeepLast) {
    try {
        parse_json(text, "FILE", repeated_keys);
    } catch (const Error& error) {
        return error.what();
    }
    return "no error";
}

std::string nested(int levels) {
    return std::string(levels, '[') + std::string(levels, ']');
}

TEST(Json, ReadsEveryKindOfValue) {
    const Json json = parse_json(
        " {\"s\": \"a\\u00e9\\n\\ud83d\\ude00\", \"i\": -7, \"u\": 18446744073709551615, \"d\": "
        "2.5e-3,\n"
        "\"t\": true, \"f\": false, \"n\": null, \"a\": [1, [], {}]} ",
        "FILE");
    EXPECT_EQ(json["s"], "a\u00e9\n\U0001f600");
    EXPECT_TRUE(json["i"].is_number_integer());
    EXPECT_EQ(json["i"], -7);
    EXPECT_EQ(json["u"].get<uint64_t>(), 18446744073709551615U);
    EXPECT_EQ(json["d"].get<double>(), 2.5e-3);
    EXPECT_EQ(json["t"], true);
    EXPECT_EQ(json["f"], false);
    EXPECT_TRUE(json["n"].is_null());
    EXPECT_EQ(json["a"], Json::array({1, Json::array(), Json::object()}));
}

TEST(Json, KeepsMembersInOrder) {
    EXPECT_EQ(parse_json(R"({"b": 1, "a": 2, "c": 3})", "FILE").dump(), R"({"b":1,"a":2,"c":3})");
}

// Numbers become the nearest doubles, as with strtod.
TEST(Json, RoundsNumbersToTheNearest) {
    for (const char* text : {"0.1", "1e22", "123456789012345678901234567890", "4.9e-324", "1e-400",
                             "-0.0", "9007199254740993"})
        EXPECT_EQ(parse_json(text, "FILE").get<double>(), std::strtod(text, nullptr)) << text;
    EXPECT_TRUE(parse_json("9007199254740993", "FILE").is_number_integer());
    EXPECT_TRUE(parse_json("18446744073709551616", "FILE").is_number_float());
}

// Python's json.dumps writes these, although RFC 8259 forbids them.
TEST(Json, ReadsNumbersThatAreNotFinite) {
    const Json json = parse_json("[NaN, Infinity, -Infinity, 1e999]", "FILE");
    EXPECT_TRUE(std::isnan(json[0].get<double>()));
    EXPECT_EQ(json[1].get<double>(), HUGE_VAL);
    EXPECT_EQ(json[2].get<double>(), -HUGE_VAL);
    EXPECT_EQ(json[3].get<double>(), HUGE_VAL);
    EXPECT_EQ(shown(json[2]), "-Infinity");
}

TEST(Json, ReadsAByteOrderMark) {
    EXPECT_EQ(parse_json("\xEF\xBB\xBF[1]", "FILE"), Json::array({1}));
}

TEST(Json, NamesThePlaceOfAnError) {
    EXPECT_EQ(error_of("{\"a\": 1,\n \"b\" 2}"),
              "FILE: not valid JSON: expected ':', at line 2, column 6");
    EXPECT_EQ(error_of(""), "FILE: not valid JSON: expected a value, at line 1, column 1");
    EXPECT_EQ(error_of("[1, 2"), "FILE: not valid JSON: expected ']', at line 1, column 6");
    EXPECT_EQ(error_of("[1]\n\n x"),
              "FILE: not valid JSON: expected the end of the text, at line 3, column 2");
    EXPECT_EQ(error_of("{a: 1}"),
              "FILE: not valid JSON: expected a key in quotes, at line 1, column 2");
    EXPECT_EQ(error_of("[1,]"), "FILE: not valid JSON: expected a value, at line 1, column 4");
}

TEST(Json, RefusesEverythingElseThatIsNotJson) {
    for (const char* text : {"[01]", "[1.]", "[.5]", "[+1]", "[1e]", "[-]", "[nan]", "[Infinityx]",
                             "[truely]", "\"\xff\"", "\"\n\"", "\"\\x\"", "\"\\ud800\"", "'a'",
                             "[1 2]", "{\"a\":1,}", "[-NaN]", "nul", "/* a */ 1"})
        EXPECT_EQ(error_of(text).find("FILE: not valid JSON: "), 0) << text;
}

TEST(Json, NestsAHundredLevels) {
    EXPECT_EQ(error_of(nested(kMaxJsonDepth)), "no error");
    EXPECT_EQ(error_of(nested(kMaxJsonDepth + 1)),
              "FILE: not valid JSON: more than 100 levels of nesting, at line 1, column 101");
    EXPECT_NE(error_of(std::string(1000000, '[')), "no error");
}

TEST(Json, KeepsTheLastOfEqualKeysOrRefusesThem) {
    const std::string text = R"({"a": 1, "b": 2, "a": 3})";
    EXPECT_EQ(parse_json(text, "FILE").dump(), R"({"a":3,"b":2})");
    EXPECT_EQ(error_of(text, RepeatedKeys::Refuse),
              "FILE: not valid JSON: duplicate key \"a\", at line 1, column 21");
}

TEST(Json, TriesToReadWhatMayBeCutOff) {
    EXPECT_EQ(try_parse_json("{\"step\": 1}").value().at("step"), 1);
    EXPECT_FALSE(try_parse_json("{\"step\": 1, \"lo").has_value());
}

// Members of a large object are hashed, not compared with each other.
TEST(Json, ReadsLargeObjects) {
    constexpr int kMembers = 200000;
    std::string text = "{";
    for (int i = 0; i < kMembers; ++i) text += str("\"key ", i, "\": ", i, ", ");
    const Json json = parse_json(text + "\"key 77\": -1}", "FILE");
    EXPECT_EQ(json.size(), kMembers);
    EXPECT_EQ(json.at("key 77"), -1);
    EXPECT_EQ(json.at("key 199999"), 199999);
}

TEST(Json, ShowsValuesShortly) {
    EXPECT_EQ(shown(parse_json(R"({"a": "é"})", "FILE")), R"({"a":"\u00e9"})");
    EXPECT_EQ(shown(std::string(100, 'x')), "\"" + std::string(59, 'x') + "...");
}

TEST(Json, GivesTheLibrarysErrorsWithoutItsNames) {
    try {
        parse_json("1", "FILE").get<std::string>();
        FAIL();
    } catch (const Json::exception& error) {
        EXPECT_EQ(json_error_text(error), "type must be string, but is number");
    }
}

TEST(JsonFields, ReadsAbsentAndNullAlike) {
    const Json json = parse_json(R"({"a": null, "b": 2})", "FILE");
    const JsonFields fields(json, "FILE");
    EXPECT_FALSE(fields.has("a"));
    EXPECT_EQ(fields.integer("a", 5), 5);
    EXPECT_EQ(fields.integer("b", 5), 2);
}

TEST(JsonFields, RefusesNumbersThatAreNotFiniteWhereTheyAreRead) {
    const Json json = parse_json(R"({"unread": NaN, "theta": NaN, "eps": 1e999})", "FILE");
    const JsonFields fields(json, "FILE");
    const auto error = [&](const char* name) {
        try {
            fields.number(name, 1.0);
        } catch (const Error& caught) {
            return std::string(caught.what());
        }
        return std::string("no error");
    };
    EXPECT_EQ(error("theta"), "FILE: field theta: expected a finite number, got NaN");
    EXPECT_EQ(error("eps"), "FILE: field eps: expected a finite number, got Infinity");
}

TEST(JsonFields, ChecksTheSignOfNumbers) {
    const Json json = parse_json(
        R"({"zero": 0, "below": -0.5, "tiny": 1e-60, "huge": 1e300, "one": 1, "text": "1"})",
        "FILE");
    const JsonFields fields(json, "FILE");
    EXPECT_EQ(fields.positive_number("one", 2.0), 1.0);
    EXPECT_EQ(fields.positive_number("none", 2.0), 2.0);
    EXPECT_EQ(fields.number_from_zero("zero", 2.0), 0.0);
    const auto error = [](const auto& read) {
        try {
            read();
        } catch (const Error& caught) {
            return std::string(caught.what());
        }
        return std::string("no error");
    };
    for (const char* name : {"zero", "below", "tiny"})
        EXPECT_TRUE(error([&] {
                        fields.positive_number(name, 1.0);
                    }).starts_with(str("FILE: field ", name, ": expected a positive number")));
    EXPECT_EQ(error([&] { fields.positive_number("huge", 1.0); }),
              "FILE: field huge: expected a finite number, got 1e+300");
    EXPECT_EQ(error([&] { fields.positive_number("text", 1.0); }),
              "FILE: field text: expected a number, got \"1\"");
    EXPECT_EQ(error([&] { fields.number_from_zero("below", 1.0); }),
              "FILE: field below: expected a number from 0, got -0.5");
}

TEST(JsonFields, ReadsListsOfNumbers) {
    const Json json =
        parse_json(R"({"three": [1, 2.5, -3], "two": [1, 2], "nan": [1, NaN, 2], "one": 1})", "F");
    const JsonFields fields(json, "F");
    EXPECT_EQ(fields.numbers("three", 3), (std::vector<double>{1.0, 2.5, -3.0}));
    for (const char* name : {"two", "nan", "one"}) EXPECT_THROW(fields.numbers(name, 3), Error);
}

TEST(JsonFile, NamesTheFileAndRefusesRepeatedKeys) {
    const TemporaryDirectory scratch;
    const std::string path = scratch.path() / "config.json";
    std::ofstream(path) << "{\"a\": 1, \"a\": 2}";
    try {
        read_json_file(path);
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(std::string(error.what()),
                  path + ": not valid JSON: duplicate key \"a\", at line 1, column 13");
    }
}

}  // namespace
