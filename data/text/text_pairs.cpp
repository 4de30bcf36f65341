#include "data/text/text_pairs.h"

#include "data/text/unicode.h"

namespace vila::data {

TextPairs::TextPairs() : ascii_(kAscii * kAscii), hashed_((size_t{1} << kHashBits) / 64) {}

uint64_t TextPairs::hash(uint32_t left, uint32_t right) {
    return ((static_cast<uint64_t>(left) << 32 | right) * 0x9e3779b97f4a7c15u) >> (64 - kHashBits);
}

void TextPairs::add(std::string_view piece) {
    uint32_t left = kInvalidCode;
    while (!piece.empty()) {
        const Utf8Char next = first_char(piece);
        piece.remove_prefix(next.bytes);
        if (left < kAscii && next.code < kAscii) {
            ascii_[left * kAscii + next.code] = 1;
        } else if (left != kInvalidCode) {
            const uint64_t bit = hash(left, next.code);
            hashed_[bit / 64] |= uint64_t{1} << bit % 64;
        }
        left = next.code;
    }
}

bool TextPairs::together(uint32_t left, uint32_t right) const {
    if (left == kInvalidCode || right == kInvalidCode) return false;
    if (left < kAscii && right < kAscii) return ascii_[left * kAscii + right] != 0;
    const uint64_t bit = hash(left, right);
    return (hashed_[bit / 64] >> bit % 64 & 1) != 0;
}

int64_t TextPairs::uncut_bytes(std::string_view text) const {
    const Utf8Char head = first_char(text);
    uint32_t left = head.code;
    size_t at = head.bytes;
    while (at < text.size()) {
        const auto byte = static_cast<uint8_t>(text[at]);
        if (byte < kAscii && left < kAscii) {
            if (ascii_[left * kAscii + byte] == 0) break;
            left = byte;
            ++at;
            continue;
        }
        const Utf8Char next = first_char(text.substr(at));
        if (!together(left, next.code)) break;
        left = next.code;
        at += next.bytes;
    }
    return static_cast<int64_t>(at);
}

}  // namespace vila::data
