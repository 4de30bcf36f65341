#pragma once

// The tokens of JSON that a safetensors header can contain, read strictly: what RFC 8259 allows and
// the format does not, like signs, fractions and lone surrogates, is refused with its place.

#include <cstdint>
#include <string>
#include <string_view>

#include "tensor/check.h"

namespace vila {

class JsonScanner {
  public:
    explicit JsonScanner(std::string_view text) : text_(text) {}

    [[noreturn]] void fail(const std::string& what) const;

    void skip_space();
    bool at_end();
    bool next_is(char token);
    // Consumes `token` if it is next.
    bool accept(char token);
    void expect(char token);

    // The text of a string, in UTF-8.
    std::string string();
    // Digits only: no sign, fraction, exponent or leading zero.
    int64_t integer();

  private:
    void escape(std::string& out);
    uint32_t hex4();

    std::string_view text_;
    size_t at_ = 0;
};

// Bytes of the UTF-8 sequence that starts at text[at], 0 if there is no valid one: shortest form
// only, no surrogates, nothing above U+10FFFF.
size_t utf8_length(std::string_view text, size_t at);

// `text` as a JSON string with its quotes.
std::string json_quoted(std::string_view text);

// Calls body(key) at each value of an object; body must consume the value. Refuses a repeated key.
template <typename Seen, typename Body>
void for_each_member(JsonScanner& scanner, const Seen& seen, const Body& body) {
    scanner.expect('{');
    if (scanner.accept('}')) return;
    do {
        scanner.skip_space();
        const std::string key = scanner.string();
        scanner.expect(':');
        if (seen(key)) scanner.fail(str("key ", json_quoted(key), " twice"));
        body(key);
    } while (scanner.accept(','));
    scanner.expect('}');
}

}  // namespace vila
