#include "tensor/json_scanner.h"

#include <algorithm>
#include <cctype>
#include <cstdio>

namespace vila {

namespace {

void append_utf8(std::string& out, uint32_t code) {
    const auto put = [&](uint32_t bits) { out.push_back(static_cast<char>(bits)); };
    if (code < 0x80U) {
        put(code);
    } else if (code < 0x800U) {
        put(0xc0U | (code >> 6));
        put(0x80U | (code & 0x3fU));
    } else if (code < 0x10000U) {
        put(0xe0U | (code >> 12));
        put(0x80U | ((code >> 6) & 0x3fU));
        put(0x80U | (code & 0x3fU));
    } else {
        put(0xf0U | (code >> 18));
        put(0x80U | ((code >> 12) & 0x3fU));
        put(0x80U | ((code >> 6) & 0x3fU));
        put(0x80U | (code & 0x3fU));
    }
}

}  // namespace

size_t utf8_length(std::string_view text, size_t at) {
    const auto byte = [&](size_t i) -> unsigned {
        return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
    };
    const auto continues = [&](size_t i) { return (byte(i) & 0xc0U) == 0x80U; };
    const unsigned lead = byte(at);
    if (lead < 0x80U) return 1;
    if (lead >= 0xc2U && lead <= 0xdfU) return continues(at + 1) ? 2 : 0;
    if (lead >= 0xe0U && lead <= 0xefU) {
        const unsigned second = byte(at + 1);
        if (lead == 0xe0U && second < 0xa0U) return 0;
        if (lead == 0xedU && second > 0x9fU) return 0;
        return continues(at + 1) && continues(at + 2) ? 3 : 0;
    }
    if (lead >= 0xf0U && lead <= 0xf4U) {
        const unsigned second = byte(at + 1);
        if (lead == 0xf0U && second < 0x90U) return 0;
        if (lead == 0xf4U && second > 0x8fU) return 0;
        return continues(at + 1) && continues(at + 2) && continues(at + 3) ? 4 : 0;
    }
    return 0;
}

void JsonScanner::fail(const std::string& what) const {
    if (place_ == Place::Byte) throw Error(str(subject_, ": ", what, " at byte ", at_));
    const std::string_view before = text_.substr(0, at_);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const size_t line_begin = before.rfind('\n') + 1;  // 0 on the first line
    throw Error(str(subject_, ": ", what, ", at line ", line, ", column ", at_ - line_begin + 1));
}

void JsonScanner::skip_space() {
    while (at_ < text_.size() &&
           std::string_view(" \t\n\r").find(text_[at_]) != std::string_view::npos)
        ++at_;
}

bool JsonScanner::at_end() {
    skip_space();
    return at_ == text_.size();
}

bool JsonScanner::next_is(char token) {
    skip_space();
    return at_ < text_.size() && text_[at_] == token;
}

bool JsonScanner::accept(char token) {
    const bool found = next_is(token);
    if (found) ++at_;
    return found;
}

void JsonScanner::expect(char token) {
    if (!accept(token)) fail(str("expected '", token, "'"));
}

bool JsonScanner::accept_word(std::string_view word) {
    skip_space();
    if (text_.substr(at_, word.size()) != word) return false;
    const size_t end = at_ + word.size();
    if (end < text_.size() && std::isalnum(static_cast<unsigned char>(text_[end])) != 0)
        return false;
    at_ = end;
    return true;
}

std::string JsonScanner::string() {
    expect('"');
    std::string out;
    while (true) {
        if (at_ == text_.size()) fail("unterminated string");
        const char c = text_[at_];
        if (c == '"') {
            ++at_;
            return out;
        }
        if (static_cast<unsigned char>(c) < 0x20) fail("control character in a string");
        if (c == '\\') {
            escape(out);
            continue;
        }
        const size_t length = utf8_length(text_, at_);
        if (length == 0) fail("invalid UTF-8");
        out.append(text_.substr(at_, length));
        at_ += length;
    }
}

int64_t JsonScanner::integer() {
    skip_space();
    const size_t start = at_;
    int64_t value = 0;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') {
        if (__builtin_mul_overflow(value, int64_t{10}, &value) ||
            __builtin_add_overflow(value, int64_t{text_[at_] - '0'}, &value))
            fail("integer above 2^63 - 1");
        ++at_;
    }
    if (at_ == start) fail("expected a non-negative integer");
    if (at_ - start > 1 && text_[start] == '0') fail("integer with a leading zero");
    if (at_ < text_.size() && std::string_view(".eE+-").find(text_[at_]) != std::string_view::npos)
        fail("expected an integer, got a fraction or an exponent");
    return value;
}

std::string_view JsonScanner::number() {
    skip_space();
    const size_t start = at_;
    const auto next_is_one_of = [&](std::string_view characters) {
        return at_ < text_.size() && characters.find(text_[at_]) != std::string_view::npos;
    };
    const auto digits = [&] {
        const size_t first = at_;
        while (next_is_one_of("0123456789")) ++at_;
        return at_ - first;
    };
    if (next_is_one_of("-")) ++at_;
    const size_t first = at_;
    const size_t count = digits();
    if (count == 0) fail(at_ == start ? "expected a value" : "expected a digit after '-'");
    if (count > 1 && text_[first] == '0') fail("number with a leading zero");
    if (next_is_one_of(".")) {
        ++at_;
        if (digits() == 0) fail("expected a digit after the decimal point");
    }
    if (next_is_one_of("eE")) {
        ++at_;
        if (next_is_one_of("+-")) ++at_;
        if (digits() == 0) fail("expected a digit in the exponent");
    }
    return text_.substr(start, at_ - start);
}

void JsonScanner::escape(std::string& out) {
    ++at_;
    const char kind = at_ < text_.size() ? text_[at_++] : '\0';
    constexpr std::string_view kLetters = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    const size_t simple = kLetters.find(kind);
    if (kind != '\0' && simple != std::string_view::npos) {
        out.push_back(kMeanings[simple]);
        return;
    }
    if (kind != 'u') fail("unknown escape in a string");
    uint32_t code = hex4();
    if (code >= 0xdc00U && code <= 0xdfffU) fail("lone surrogate in a string");
    if (code >= 0xd800U && code <= 0xdbffU) {
        if (text_.substr(at_, 2) != "\\u") fail("lone surrogate in a string");
        at_ += 2;
        const uint32_t low = hex4();
        if (low < 0xdc00U || low > 0xdfffU) fail("lone surrogate in a string");
        code = 0x10000U + ((code - 0xd800U) << 10) + (low - 0xdc00U);
    }
    append_utf8(out, code);
}

uint32_t JsonScanner::hex4() {
    uint32_t code = 0;
    for (int i = 0; i < 4; ++i) {
        const char c = at_ < text_.size() ? text_[at_] : '\0';
        uint32_t digit = 0;
        if (c >= '0' && c <= '9') {
            digit = static_cast<uint32_t>(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            digit = static_cast<uint32_t>(c - 'a' + 10);
        } else if (c >= 'A' && c <= 'F') {
            digit = static_cast<uint32_t>(c - 'A' + 10);
        } else {
            fail("expected four hexadecimal digits after \\u");
        }
        code = code << 4 | digit;
        ++at_;
    }
    return code;
}

std::string json_quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (static_cast<unsigned char>(c) < 0x20) {
            char escaped[8];
            std::snprintf(escaped, sizeof(escaped), "\\u%04x", static_cast<unsigned>(c));
            out += escaped;
        } else {
            out += c;
        }
    }
    return out + "\"";
}

}  // namespace vila
