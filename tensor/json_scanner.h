#pragma once

// A JSON tokenizer, strict by RFC 8259, whose errors give their position in the text. The parser in
// json.cpp builds values from its tokens; safetensors_header.cpp reads its header with it directly.

#include <cstdint>
#include <string>
#include <string_view>

#include "tensor/check.h"

namespace vila {

class JsonScanner {
  public:
    // How errors give their position: "at byte 17", or "at line 2, column 5".
    enum class Place { Byte, LineAndColumn };

    // Error messages begin with `subject`. The text must outlive this object.
    JsonScanner(std::string_view text, std::string subject, Place place = Place::Byte)
        : text_(text), subject_(std::move(subject)), place_(place) {}

    // Throws "SUBJECT: WHAT at byte N" or "SUBJECT: WHAT, at line L, column C".
    [[noreturn]] void fail(const std::string& what) const;

    // All functions below skip white space before the token.
    void skip_space();
    bool at_end();
    bool next_is(char token);
    // Consumes `token` if it is next, and returns whether it was.
    bool accept(char token);
    // Consumes `token`. Throws if it is not next.
    void expect(char token);
    // Consumes `word` if it is next and no letter or digit follows it. Returns whether it did.
    bool accept_word(std::string_view word);

    // These consume a token of their kind. They throw if the next one is of another kind.
    // A string: its content in UTF-8, with escapes resolved.
    std::string string();
    // A non-negative integer: digits without sign, fraction, exponent or leading zero.
    int64_t integer();
    // Any number, as its text.
    std::string_view number();

  private:
    void escape(std::string& out);
    uint32_t hex4();

    std::string_view text_;
    std::string subject_;
    Place place_;
    size_t at_ = 0;
};

// The length in bytes of the UTF-8 sequence that starts at text[at]. 0 if it is not valid: longer
// than necessary, cut off, a surrogate, or above U+10FFFF.
size_t utf8_length(std::string_view text, size_t at);

// `text` as a JSON string, in quotes and with escapes.
std::string json_quoted(std::string_view text);

// Reads an object: calls body(key) before each value, which body must consume. Throws if seen(key)
// says that an earlier member has this key.
template <typename Seen, typename Body>
void for_each_member(JsonScanner& scanner, const Seen& seen, const Body& body) {
    scanner.expect('{');
    if (scanner.accept('}')) return;
    do {
        scanner.skip_space();
        const std::string key = scanner.string();
        scanner.expect(':');
        if (seen(key)) scanner.fail(str("duplicate key ", json_quoted(key)));
        body(key);
    } while (scanner.accept(','));
    scanner.expect('}');
}

}  // namespace vila
