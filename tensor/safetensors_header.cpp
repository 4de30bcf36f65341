#include "tensor/safetensors_header.h"

#include <algorithm>
#include <cstdio>
#include <tuple>

#include "tensor/check.h"

namespace vila {

namespace {

struct DTypeBits {
    std::string_view name;
    int64_t bits;
};
constexpr DTypeBits kDTypes[] = {
    {"BOOL", 8},    {"U8", 8},          {"I8", 8},          {"F8_E5M2", 8}, {"F8_E4M3", 8},
    {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},    {"U16", 16},
    {"F16", 16},    {"BF16", 16},       {"I32", 32},        {"U32", 32},    {"F32", 32},
    {"C64", 64},    {"F64", 64},        {"I64", 64},        {"U64", 64},    {"F4", 4},
    {"F6_E2M3", 6}, {"F6_E3M2", 6},
};

// Bytes of the UTF-8 sequence that starts at text[at], 0 if there is no valid one: shortest form
// only, no surrogates, nothing above U+10FFFF.
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

// Reads the tokens of JSON that the schema can contain.
class Scanner {
  public:
    explicit Scanner(std::string_view text) : text_(text) {}

    [[noreturn]] void fail(const std::string& what) const {
        throw Error(str("header is not valid: ", what, " at byte ", at_));
    }

    void skip_space() {
        while (at_ < text_.size() &&
               std::string_view(" \t\n\r").find(text_[at_]) != std::string_view::npos)
            ++at_;
    }
    bool at_end() {
        skip_space();
        return at_ == text_.size();
    }
    bool next_is(char token) {
        skip_space();
        return at_ < text_.size() && text_[at_] == token;
    }
    // Consumes `token` if it is next.
    bool accept(char token) {
        const bool found = next_is(token);
        if (found) ++at_;
        return found;
    }
    void expect(char token) {
        if (!accept(token)) fail(str("expected '", token, "'"));
    }

    std::string string() {
        expect('"');
        std::string out;
        while (true) {
            if (at_ == text_.size()) fail("a string does not end");
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

    // Digits only: no sign, fraction, exponent or leading zero.
    int64_t integer() {
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
        if (at_ < text_.size() &&
            std::string_view(".eE+-").find(text_[at_]) != std::string_view::npos)
            fail("expected an integer, got a fraction or an exponent");
        return value;
    }

  private:
    void escape(std::string& out) {
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

    uint32_t hex4() {
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

    std::string_view text_;
    size_t at_ = 0;
};

// Calls body(key) at each value of an object; body must consume the value. Refuses a repeated key.
template <typename Seen, typename Body>
void for_each_member(Scanner& scanner, const Seen& seen, const Body& body) {
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

std::map<std::string, std::string> parse_metadata(Scanner& scanner) {
    std::map<std::string, std::string> metadata;
    for_each_member(
        scanner, [&](const std::string& key) { return metadata.contains(key); },
        [&](const std::string& key) {
            if (!scanner.next_is('"')) scanner.fail("__metadata__ values must be strings");
            metadata[key] = scanner.string();
        });
    return metadata;
}

Shape parse_shape(Scanner& scanner) {
    Shape shape;
    scanner.expect('[');
    if (scanner.accept(']')) return shape;
    do {
        if (shape.rank() == Shape::kMaxRank)
            scanner.fail(str("a shape with more than ", Shape::kMaxRank, " axes"));
        shape.push_back(scanner.integer());
    } while (scanner.accept(','));
    scanner.expect(']');
    return shape;
}

TensorInfo parse_tensor(Scanner& scanner) {
    TensorInfo info;
    bool has_dtype = false;
    bool has_shape = false;
    bool has_offsets = false;
    const auto field = [&](const std::string& key) -> bool* {
        if (key == "dtype") return &has_dtype;
        if (key == "shape") return &has_shape;
        if (key == "data_offsets") return &has_offsets;
        return nullptr;
    };
    for_each_member(
        scanner,
        [&](const std::string& key) {
            const bool* seen = field(key);
            return seen != nullptr && *seen;
        },
        [&](const std::string& key) {
            if (key == "dtype") {
                info.dtype = scanner.string();
            } else if (key == "shape") {
                info.shape = parse_shape(scanner);
            } else if (key == "data_offsets") {
                scanner.expect('[');
                info.begin = scanner.integer();
                scanner.expect(',');
                info.end = scanner.integer();
                scanner.expect(']');
            } else {
                scanner.fail(str("unknown field ", json_quoted(key)));
            }
            *field(key) = true;
        });
    if (!has_dtype) scanner.fail("field dtype is missing");
    if (!has_shape) scanner.fail("field shape is missing");
    if (!has_offsets) scanner.fail("field data_offsets is missing");
    return info;
}

void check_size(const std::string& name, const TensorInfo& info) {
    const int64_t bits_each = safetensors_dtype_bits(info.dtype);
    VILA_CHECK(bits_each > 0, "tensor ", name, ": unknown dtype ", json_quoted(info.dtype));
    int64_t bits = bits_each;
    bool overflow = false;
    for (const int64_t extent : info.shape)
        overflow = overflow || __builtin_mul_overflow(bits, extent, &bits);
    VILA_CHECK(!overflow, "tensor ", name, ": shape ", info.shape, " overflows 64 bits");
    VILA_CHECK(bits % 8 == 0, "tensor ", name, ": shape ", info.shape, " of ", info.dtype,
               " does not end on a byte");
    VILA_CHECK(info.end >= info.begin, "tensor ", name, ": data_offsets [", info.begin, ", ",
               info.end, "] run backwards");
    VILA_CHECK_EQ(info.end - info.begin, bits / 8, "tensor ", name, ": bytes in data_offsets for ",
                  info.dtype, " ", info.shape);
}

// Tensors lie end to end: no gap, no overlap, nothing behind the last.
std::vector<std::string> check_coverage(const std::map<std::string, TensorInfo>& tensors,
                                        int64_t data_bytes) {
    std::vector<std::string> names;
    for (const auto& [name, info] : tensors) names.push_back(name);
    std::sort(names.begin(), names.end(), [&](const std::string& a, const std::string& b) {
        const TensorInfo& left = tensors.at(a);
        const TensorInfo& right = tensors.at(b);
        return std::tie(left.begin, left.end, a) < std::tie(right.begin, right.end, b);
    });
    int64_t covered = 0;
    for (const std::string& name : names) {
        const TensorInfo& info = tensors.at(name);
        VILA_CHECK(info.end <= data_bytes, "tensor ", name, ": data_offsets [", info.begin, ", ",
                   info.end, "] lie outside the ", data_bytes, " bytes of data");
        VILA_CHECK(info.begin >= covered, "tensor ", name,
                   ": its data overlaps another tensor's at byte ", info.begin);
        VILA_CHECK(info.begin == covered, "tensor ", name, ": unused bytes [", covered, ", ",
                   info.begin, ") before its data");
        covered = info.end;
    }
    VILA_CHECK_EQ(data_bytes, covered, "bytes of data behind the header");
    return names;
}

}  // namespace

void check_tensor_name(std::string_view name) {
    VILA_CHECK(static_cast<int64_t>(name.size()) <= kMaxTensorName, "a tensor name of ",
               name.size(), " bytes: expected at most ", kMaxTensorName);
    for (const char c : name)
        VILA_CHECK(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f, "tensor ", json_quoted(name),
                   ": control character in the name");
    for (size_t at = 0; at < name.size();) {
        const size_t length = utf8_length(name, at);
        VILA_CHECK(length > 0, "tensor ", json_quoted(name), ": invalid UTF-8 in the name");
        at += length;
    }
}

SafetensorsHeader SafetensorsHeader::parse(std::string_view json, int64_t data_bytes) {
    SafetensorsHeader header;
    bool has_metadata = false;
    Scanner scanner(json);
    for_each_member(
        scanner,
        [&](const std::string& key) {
            return key == "__metadata__" ? has_metadata : header.tensors.contains(key);
        },
        [&](const std::string& key) {
            if (key == "__metadata__") {
                header.metadata = parse_metadata(scanner);
                has_metadata = true;
                return;
            }
            check_tensor_name(key);
            try {
                header.tensors[key] = parse_tensor(scanner);
            } catch (const Error& error) {
                throw Error(str("tensor ", key, ": ", error.what()));
            }
        });
    if (!scanner.at_end()) scanner.fail("something follows the JSON object");
    for (const auto& [name, info] : header.tensors) check_size(name, info);
    header.names = check_coverage(header.tensors, data_bytes);
    return header;
}

int64_t safetensors_dtype_bits(std::string_view dtype) {
    for (const DTypeBits& known : kDTypes)
        if (known.name == dtype) return known.bits;
    return 0;
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
