#pragma once

// Checks of two kinds: one throws, the other aborts.
//
//   VILA_CHECK(condition, parts...)      for mistakes of the caller or user: throws vila::Error
//   VILA_CHECK_EQ(actual, expected, ...) the same; the message gives both values
//   VILA_ASSERT(condition)               for bugs of this program: aborts, naming file and line
//
// The text of an Error is one line that a user can act on: it says what is wrong and where, what
// was expected and what was found, and how to fix it where that is known. Operators begin it with
// their name in brackets: "[rms_norm] weight has shape (3): expected (4)".

#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace vila {

// `text` with every control character written as an escape ("\n", "\x1b"): names from a file
// can neither break a message into lines nor send control sequences to the terminal.
std::string one_line(std::string_view text);

// A mistake in the input: a file, an option, a shape. `main` prints what(), which is always one
// line, and exits 1.
class Error : public std::runtime_error {
  public:
    explicit Error(std::string_view text) : std::runtime_error(one_line(text)) {}
};

// A mistake in the command line: `main` exits 2 instead of 1.
class UsageError : public Error {
  public:
    using Error::Error;
};

// Concatenates anything that can be streamed: str("layer ", 3, ": ", shape).
template <typename... Parts>
std::string str(const Parts&... parts) {
    std::ostringstream out;
    (out << ... << parts);
    return out.str();
}

[[noreturn]] inline void assertion_failed(const char* text, const char* file, int line) {
    std::fprintf(stderr, "%s:%d: internal error: %s does not hold; please report this\n", file,
                 line, text);
    std::abort();
}

}  // namespace vila

#define VILA_CHECK(condition, ...)                                       \
    do {                                                                 \
        if (!(condition)) throw ::vila::Error(::vila::str(__VA_ARGS__)); \
    } while (false)

// The parts name the compared value; the message appends ": expected E, got A".
#define VILA_CHECK_EQ(actual, expected, ...)                                                    \
    do {                                                                                        \
        const auto& vila_actual = (actual);                                                     \
        const auto& vila_expected = (expected);                                                 \
        if (!(vila_actual == vila_expected))                                                    \
            throw ::vila::Error(                                                                \
                ::vila::str(__VA_ARGS__, ": expected ", vila_expected, ", got ", vila_actual)); \
    } while (false)

#define VILA_ASSERT(condition)                                                      \
    do {                                                                            \
        if (!(condition)) ::vila::assertion_failed(#condition, __FILE__, __LINE__); \
    } while (false)
