#include "tensor/safetensors_header.h"

#include <algorithm>
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

std::map<std::string, std::string> parse_metadata(JsonScanner& scanner) {
    std::map<std::string, std::string> metadata;
    for_each_member(
        scanner, [&](const std::string& key) { return metadata.contains(key); },
        [&](const std::string& key) {
            if (!scanner.next_is('"')) scanner.fail("__metadata__ values must be strings");
            metadata[key] = scanner.string();
        });
    return metadata;
}

Shape parse_shape(JsonScanner& scanner) {
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

TensorInfo parse_tensor(JsonScanner& scanner) {
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

// Checks that tensors are stored end to end: no gap, no overlap, no bytes after the last.
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
    VILA_CHECK_EQ(data_bytes, covered, "bytes of data after the header");
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
    JsonScanner scanner(json, "header is not valid");
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

}  // namespace vila
