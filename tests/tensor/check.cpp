// Every error message is one line, whatever text it quotes.

#include "tensor/check.h"

#include <gtest/gtest.h>

#include "tests/support/driver.h"

namespace vila::testing {

TEST(TensorCheck, AnErrorIsOneLine) {
    const std::string name("a\nb\r\tc\x1b[2J\x7f\0", 12);
    EXPECT_STREQ(Error(str("tensor ", name, ": missing")).what(),
                 R"(tensor a\nb\x0d\tc\x1b[2J\x7f\x00: missing)");
    EXPECT_STREQ(UsageError("two\nlines").what(), R"(two\nlines)");
}

// U+009B begins control sequences as ESC [ does; U+00A0 is the first character after those.
TEST(TensorCheck, ControlCharactersAboveAsciiAreEscaped) {
    EXPECT_EQ(one_line("a\xc2\x9b"
                       "31mb\xc2\x80\xc2\x9f\xc2\xa0\xc2"),
              "a\\x9b31mb\\x80\\x9f\xc2\xa0\xc2");
}

TEST(TensorCheck, OtherTextStaysAsItIs) {
    const std::string text = "naïve 漢字 \\n C:\\ \xff";
    EXPECT_EQ(one_line(text), text);
}

}  // namespace vila::testing
