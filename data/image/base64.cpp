#include "data/image/base64.h"

#include <algorithm>

#include "tensor/check.h"

namespace vila::data {

namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool is_space(char letter) {
    return letter == ' ' || letter == '\n' || letter == '\r' || letter == '\t';
}

}  // namespace

std::string base64_encode(std::span<const uint8_t> bytes) {
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    for (size_t i = 0; i < bytes.size(); i += 3) {
        const size_t count = std::min<size_t>(3, bytes.size() - i);
        uint32_t group = 0;
        for (size_t j = 0; j < 3; ++j) group = group << 8 | (j < count ? bytes[i + j] : 0U);
        for (size_t j = 0; j < 4; ++j)
            text += j <= count ? kAlphabet[(group >> (18 - 6 * j)) & 63] : '=';
    }
    return text;
}

std::vector<uint8_t> base64_decode(std::string_view text) {
    std::vector<uint8_t> bytes;
    bytes.reserve(text.size() / 4 * 3);
    uint32_t group = 0;
    int letters = 0, padding = 0;  // of the group of four
    for (size_t i = 0; i < text.size(); ++i) {
        if (is_space(text[i])) continue;
        const size_t value = kAlphabet.find(text[i]);
        VILA_CHECK(value != std::string_view::npos || text[i] == '=', "base64: character ", i,
                   " is not in the alphabet");
        if (text[i] == '=') ++padding;
        VILA_CHECK(padding == 0 || (text[i] == '=' && letters >= 2), "base64: character ", i,
                   " follows padding, or is padding in the wrong place");
        group = group << 6 | (text[i] == '=' ? 0U : static_cast<uint32_t>(value));
        if (++letters < 4) continue;
        for (int j = 0; j < 3 - padding; ++j)
            bytes.push_back(static_cast<uint8_t>(group >> (16 - 8 * j)));
        VILA_CHECK((group & ((1U << (8 * padding)) - 1)) == 0, "base64: character ", i,
                   " ends a group with bits that encode nothing");
        group = 0;
        letters = 0;
    }
    VILA_CHECK_EQ(letters, 0, "base64: letters after the last group of four");
    return bytes;
}

}  // namespace vila::data
