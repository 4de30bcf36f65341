// The case of letters: what Python's str returns.

#include "data/text/letter_case.h"

#include <gtest/gtest.h>

namespace vila::data {
namespace {

TEST(LetterCase, MapsLettersOfEveryLength) {
    EXPECT_EQ(upper_case("aé ж ᾳ ŉ ﬁ ß 日 𐐨1"), "AÉ Ж ΑΙ ʼN FI SS 日 𐐀1");
    EXPECT_EQ(lower_case("AÉ Ж İ K 日 𐐀1"), "aé ж i\u0307 k 日 𐐨1");
    // A stride of two: every other code is a small letter.
    EXPECT_EQ(upper_case("āĂă"), "ĀĂĂ");
}

TEST(LetterCase, TitlesBeginAtLetters) {
    EXPECT_EQ(title_case("it's a-b éa ǆa ßa 1a"), "It'S A-B Éa ǅa Ssa 1A");
    EXPECT_EQ(capitalized("éÀ Ab"), "Éà ab");
    EXPECT_EQ(capitalized(" Ab"), " ab");
}

// A capital sigma at the end of a word has a form of its own; an apostrophe does not end a word.
TEST(LetterCase, WritesTheFinalSigma) {
    EXPECT_EQ(lower_case("ΟΔΟΣ ΣΑ Σ ΑΣ'Α ΑΣ'"), "οδος σα σ ασ'α ας'");
    EXPECT_EQ(title_case("ΑΣ ΣΑΣΑ"), "Ας Σασα");
}

TEST(LetterCase, KeepsBytesThatAreNotUtf8) {
    EXPECT_EQ(upper_case("a\xe3\x80"
                         "b\xff"),
              "A\xe3\x80"
              "B\xff");
    EXPECT_EQ(lower_case("A\xe3\x80"
                         "B\xff"),
              "a\xe3\x80"
              "b\xff");
}

}  // namespace
}  // namespace vila::data
