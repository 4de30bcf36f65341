#include "data/text/unicode.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace vila::data {
namespace {

using namespace std::string_literals;

nlohmann::json cases() {
    std::ifstream in(VILA_SOURCE_DIR "/tests/goldens/tokenizer_cases.json");
    return nlohmann::json::parse(in);
}

TEST(Unicode, CharactersRoundTrip) {
    for (uint32_t code = 0; code < 0x110000; ++code) {
        if (code >= 0xD800 && code < 0xE000) continue;
        std::string text;
        append_char(text, code);
        const Utf8Char read = first_char(text);
        ASSERT_EQ(read.code, code);
        ASSERT_EQ(read.bytes, static_cast<int64_t>(text.size()));
    }
}

// The examples of the Unicode standard, section 3.9, and the smallest and largest code of each
// form.
TEST(Unicode, BrokenSequencesBecomeOneReplacementPerMaximalSubpart) {
    const std::string r = "\uFFFD";
    const std::pair<std::string, std::string> examples[] = {
        {"", ""},
        {"a\xF1\x80\x80\xE1\x80\xC2"s + "b\x80"s + "c\x80\xBF"s + "d",
         "a" + r + r + r + "b" + r + "c" + r + r + "d"},
        {"\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", r + r + r + r + r + r + r + r + "A"},
        {"\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", r + r + r + r + r + r + r + r + "A"},
        {"\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", r + r + r + r + r + "A" + r + r + "B"},
        {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", r + r + r + r + "A"},
        {"\xF4\x8F\xBF\xBF", "\U0010FFFF"},
        {"\xC3", r},
        {"\xC3\xA9\0x"s, "\u00e9\0x"s},
    };
    for (const auto& [broken, valid] : examples) EXPECT_EQ(valid_utf8(broken), valid);
}

TEST(Unicode, FindsIncompleteTails) {
    EXPECT_EQ(incomplete_tail(""), 0);
    EXPECT_EQ(incomplete_tail("abc"), 0);
    EXPECT_EQ(incomplete_tail("\u00e9"), 0);
    EXPECT_EQ(incomplete_tail("a\xC3"), 1);
    EXPECT_EQ(incomplete_tail("a\xF0\x9F\x98"), 3);
    EXPECT_EQ(incomplete_tail("a\xF0\x9F\x98\x80"), 0);
    EXPECT_EQ(incomplete_tail("a\xF0\x9F\x98\x80\xE2\x82"), 2);
    EXPECT_EQ(incomplete_tail("\xE0\x80"), 0) << "an overlong form can never become valid";
    EXPECT_EQ(incomplete_tail("\xED\xA0"), 0) << "nor can a surrogate";
    EXPECT_EQ(incomplete_tail("\x80\x80"), 0);
    EXPECT_EQ(incomplete_tail("\xFF"), 0);
}

TEST(Unicode, ClassesOfCharacters) {
    for (const uint32_t letter :
         {0x41u, 0x7Au, 0xAAu, 0xE9u, 0x17Fu, 0x905u, 0x4E2Du, 0xAC00u, 0x2FA1Du, 0xA7CBu})
        EXPECT_EQ(char_class(letter), CharClass::Letter) << letter;
    for (const uint32_t number :
         {0x30u, 0x39u, 0xB2u, 0xBDu, 0x661u, 0x2160u, 0x2460u, 0x3007u, 0x1D7D8u})
        EXPECT_EQ(char_class(number), CharClass::Number) << number;
    for (const uint32_t space : {0x9u, 0xAu, 0xBu, 0xCu, 0xDu, 0x20u, 0x85u, 0xA0u, 0x1680u,
                                 0x2000u, 0x200Au, 0x2028u, 0x2029u, 0x202Fu, 0x205Fu, 0x3000u})
        EXPECT_EQ(char_class(space), CharClass::Space) << space;
    for (const uint32_t other :
         {0x0u, 0x8u, 0xEu, 0x1Cu, 0x1Fu, 0x40u, 0x5Bu, 0x60u, 0x7Bu, 0x7Fu, 0x180Eu, 0x200Bu,
          0xFEFFu, 0x301u, 0x1F600u, 0x378u, 0x10FFFFu, 0x110000u, kInvalidCode})
        EXPECT_EQ(char_class(other), CharClass::Other) << other;
    int64_t letters = 0, numbers = 0, spaces = 0;
    for (uint32_t code = 0; code < 0x110000; ++code) {
        letters += char_class(code) == CharClass::Letter;
        numbers += char_class(code) == CharClass::Number;
        spaces += char_class(code) == CharClass::Space;
    }
    EXPECT_EQ(letters, 141028);  // Unicode 16: Lu 1858, Ll 2258, Lt 31, Lm 404, Lo 136477
    EXPECT_EQ(numbers, 1911);    // Nd 760, Nl 236, No 915
    EXPECT_EQ(spaces, 25);       // White_Space
}

TEST(Unicode, CompositionEqualsTokenizersPackage) {
    const auto golden = cases();
    for (size_t i = 0; i < golden["texts"].size(); ++i)
        EXPECT_EQ(nfc(golden["texts"][i].get<std::string>()), golden["nfc"][i].get<std::string>())
            << golden["texts"][i];
}

TEST(Unicode, CompositionKeepsBrokenSequences) {
    EXPECT_EQ(nfc("e\xCC"), "e\xCC");
    EXPECT_EQ(nfc("e\xFF\u0301"), "e\xFF\u0301");
    EXPECT_EQ(nfc("\xF0\x9F"
                  "e\u0301\xE2\x82"),
              "\xF0\x9F\u00e9\xE2\x82");
}

TEST(Unicode, ComposesAMillionMarksQuickly) {
    // Classes 230 and 220 alternate: insertion sort would take 10^11 steps.
    std::string text = "a";
    for (int i = 0; i < 500000; ++i) text += "\u0301\u0323";
    // The dot below composes with the letter; the acute above does not compose with the result; the
    // other marks are sorted.
    std::string expected = "\u1EA1";
    for (int i = 1; i < 500000; ++i) expected += "\u0323";
    for (int i = 0; i < 500000; ++i) expected += "\u0301";
    EXPECT_TRUE(nfc(text) == expected);
}

}  // namespace
}  // namespace vila::data
