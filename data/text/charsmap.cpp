// A unit of the double array: bits 0 to 7 are the byte that leads to it, bit 8 is set if a key ends
// there, bits 10 to 30 and bit 9 give the distance to its children. The unit of a leaf has bit 31
// set and the offset of its replacement in the bits below.

#include "data/text/charsmap.h"

#include "tensor/check.h"

namespace vila::data {

namespace {

constexpr bool ends_key(uint32_t unit) {
    return (unit >> 8 & 1) != 0;
}
constexpr uint32_t leaf_value(uint32_t unit) {
    return unit & 0x7FFFFFFF;
}
constexpr uint32_t label(uint32_t unit) {
    return unit & 0x800000FF;
}
constexpr uint32_t children(uint32_t unit) {
    return (unit >> 10) << ((unit & 1u << 9) >> 6);
}

uint32_t read_u32(std::string_view bytes) {
    uint32_t value = 0;
    for (int i = 3; i >= 0; --i) value = value << 8 | static_cast<uint8_t>(bytes[i]);
    return value;
}

}  // namespace

Charsmap::Charsmap(std::string_view bytes, const std::string& where) {
    VILA_CHECK(bytes.size() > 4, where, ": the character map has ", bytes.size(), " bytes");
    const uint32_t trie_bytes = read_u32(bytes);
    bytes.remove_prefix(4);
    VILA_CHECK(trie_bytes > 0 && trie_bytes % 4 == 0 && trie_bytes < bytes.size(), where,
               ": the character map says that its trie has ", trie_bytes, " of its ", bytes.size(),
               " bytes: expected a smaller multiple of 4");
    for (uint32_t at = 0; at < trie_bytes; at += 4) units_.push_back(read_u32(bytes.substr(at, 4)));
    replacements_ = bytes.substr(trie_bytes);
    VILA_CHECK(replacements_.back() == '\0', where,
               ": the last replacement of the character map does not end");
    // NFKC makes at most 33 bytes of a character. A long replacement would fill the memory.
    constexpr size_t kMaxReplacement = 1024;
    for (size_t begin = 0; begin < replacements_.size();) {
        const size_t end = replacements_.find('\0', begin);
        VILA_CHECK(end - begin <= kMaxReplacement, where,
                   ": a replacement of the character map has ", end - begin, " bytes: at most ",
                   kMaxReplacement, " are supported");
        begin = end + 1;
    }
}

Charsmap::Match Charsmap::longest(std::string_view text) const {
    Match match;
    if (units_.empty()) return match;
    size_t node = children(units_[0]);
    for (size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<uint8_t>(text[i]);
        node ^= byte;
        if (node >= units_.size() || label(units_[node]) != byte) break;
        const uint32_t unit = units_[node];
        node ^= children(unit);
        if (!ends_key(unit)) continue;
        if (node >= units_.size()) break;
        const uint32_t at = leaf_value(units_[node]);
        if (at >= replacements_.size()) break;
        match = {static_cast<int64_t>(i + 1), replacements_.c_str() + at};
    }
    return match;
}

}  // namespace vila::data
