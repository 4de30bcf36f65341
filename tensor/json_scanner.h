#pragma once

// Reads JSON text token by token, strictly by RFC 8259 and with the place of each error. The header
// of a safetensors file is read by it alone; json.h builds whole values on it.

#include <cstdint>
#include <string>
#include <string_view>

#include "tensor/check.h"

namespace vila {

class JsonScanner {
  public:
    // How errors give their place: "at byte 17", or "at line 2, column 5".
    enum class Place { Byte, LineAndColumn };

    // Errors begin with `subject`. The text must outlive this.
    JsonScanner(std::string_view text, std::string subject, Place place = Place::Byte)
        : text_(text), subject_(std::move(subject)), place_(place) {}

    // Throws "SUBJECT: WHAT at byte N".
    [[noreturn]] void fail(const std::string& what) const;

    void skip_space();
    bool at_end();
    bool next_is(char token);
    // Consumes `token` if it is next.
    bool accept(char token);
    void expect(char token);
    // Consumes `word` if it is next and no letter or digit follows it.
    bool accept_word(std::string_view word);

    // The text of a string, in UTF-8.
    std::string string();
    // Digits only: no sign, fraction, exponent or leading zero.
    int64_t integer();
    // The text of a number as RFC 8259 spells it.
    std::string_view number();

  private:
    void escape(std::string& out);
    uint32_t hex4();

    std::string_view text_;
    std::string subject_;
    Place place_;
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
