#include "tensor/shortened.h"

namespace vila {

namespace {

bool continues_character(char byte) {
    return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
}

}  // namespace

std::string shortened(std::string_view text, size_t most) {
    constexpr std::string_view kGap = "...";
    if (text.size() <= most) return std::string(text);
    size_t begin = (most - kGap.size()) * 3 / 5;
    size_t end = text.size() - (most - kGap.size() - begin);
    // Move both cuts to character boundaries. A character has at most three continuation bytes;
    // text that is not UTF-8 may have any number of them.
    for (int i = 0; i < 3 && begin > 0 && continues_character(text[begin]); ++i) --begin;
    for (int i = 0; i < 3 && end < text.size() && continues_character(text[end]); ++i) ++end;
    return std::string(text.substr(0, begin)).append(kGap).append(text.substr(end));
}

}  // namespace vila
