#include "tests/faults/mutation.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "tensor/random.h"

namespace vila {

namespace {

std::string repeated(const std::string& text, size_t count) {
    std::string all;
    for (size_t i = 0; i < count; ++i) all += text;
    return all;
}

std::string random_bytes(Dice& dice, size_t count) {
    std::string bytes;
    for (size_t i = 0; i < count; ++i) bytes.push_back(static_cast<char>(dice.below(256)));
    return bytes;
}

// Overwrites an integer of 2, 4 or 8 bytes, as it is in headers, by one at the end of a range.
void overwrite_integer(std::string& bytes, size_t at, Dice& dice) {
    constexpr std::array<uint64_t, 8> kExtreme = {
        0, 1, 0x7fff, 0xffff, 0x7fffffff, 0xffffffff, 0x7fffffffffffffff, 0xffffffffffffffff};
    const uint64_t value = kExtreme[dice.below(kExtreme.size())];
    const size_t width = size_t{2} << dice.below(3);
    const bool big_endian = dice.below(2) == 0;
    for (size_t i = 0; i < width && at + i < bytes.size(); ++i) {
        const size_t shift = 8 * (big_endian ? width - 1 - i : i);
        bytes[at + i] = static_cast<char>(value >> shift);
    }
}

std::string unusual_value(Dice& dice) {
    const std::vector<std::string> values = {"0",
                                             "-1",
                                             "1e300",
                                             "-1e300",
                                             "inf",
                                             "nan",
                                             "NaN",
                                             "Infinity",
                                             "1e-300",
                                             "2147483648",
                                             "4294967296",
                                             "4294967301",
                                             "9223372036854775807",
                                             "9223372036854775808",
                                             "18446744073709551615",
                                             "18446744073709551616",
                                             "4000000000000000000",
                                             "1000000000000",
                                             "-9223372036854775808",
                                             "0.5",
                                             "true",
                                             "false",
                                             "null",
                                             "\"\"",
                                             "[]",
                                             "{}",
                                             "[[]]",
                                             "[null]",
                                             "{\"\": {}}",
                                             "\"\\u0000\"",
                                             "\"\\u001b[2J\\n\"",
                                             "\"\\ud800\"",
                                             "\"\xff\xfe\"",
                                             "\"<image><image>\"",
                                             "\"../../../etc/passwd\"",
                                             "\"/dev/zero\"",
                                             "\"/dev/stdin\"",
                                             "\"images\"",
                                             "\"lm.toml\"",
                                             "[1, \"a\", null]",
                                             "\"1\"",
                                             "1.0"};
    const size_t which = dice.below(values.size() + 4);
    if (which < values.size()) return values[which];
    switch (which - values.size()) {
        case 0:
            return "\"" + std::string(1 + dice.below(100'000), 'x') + "\"";
        case 1:
            return "\"" + repeated("\xf0\x9f\x98\x80", 1 + dice.below(2000)) + "\"";
        case 2: {
            const size_t depth = 1 + dice.below(20'000);
            return std::string(depth, '[') + std::string(depth, ']');
        }
        default: {
            const size_t depth = 1 + dice.below(5'000);
            return repeated("{\"a\":", depth) + "1" + std::string(depth, '}');
        }
    }
}

}  // namespace

size_t Dice::below(size_t n) {
    if (n == 0) return 0;
    return static_cast<size_t>(random_below(key_, next_++, static_cast<int64_t>(n)));
}

void change_bytes(std::string& bytes, Dice& dice) {
    // Most of what readers look at stands at the beginning of a file.
    const size_t range = dice.below(2) == 0 ? std::min<size_t>(bytes.size(), 512) : bytes.size();
    const size_t at = dice.below(range);
    const size_t length = std::min(1 + dice.below(16), bytes.size() - at);
    switch (dice.below(10)) {
        case 0:
            if (!bytes.empty()) bytes[at] = static_cast<char>(bytes[at] ^ (1 << dice.below(8)));
            return;
        case 1:
            bytes.replace(at, length, random_bytes(dice, length));
            return;
        case 2:
            bytes.insert(at, random_bytes(dice, length));
            return;
        case 3:
            bytes.erase(at, length);
            return;
        case 4:
            bytes.insert(dice.below(range), bytes.substr(at, length));
            return;
        case 5:
            bytes.resize(at);
            return;
        case 6: {  // another digit, so that a number stays a number
            const size_t digit = bytes.find_first_of("0123456789", at);
            if (digit < bytes.size()) bytes[digit] = static_cast<char>('0' + dice.below(10));
            return;
        }
        case 7:
            overwrite_integer(bytes, at, dice);
            return;
        case 8:
            bytes.insert(at, bytes.substr(at, std::min<size_t>(bytes.size() - at, 4096)));
            return;
        default:
            if (!bytes.empty()) std::swap(bytes[at], bytes[dice.below(range)]);
            return;
    }
}

void change_value(std::string& text, Dice& dice) {
    std::vector<size_t> separators;
    for (size_t i = 0; i < text.size(); ++i)
        if (text[i] == ':' || text[i] == '=') separators.push_back(i);
    if (separators.empty()) return change_bytes(text, dice);
    const size_t begin = separators[dice.below(separators.size())] + 1;
    const size_t end = std::min(text.find_first_of(",}]\n", begin), text.size());
    text.replace(begin, end - begin, " " + unusual_value(dice));
}

}  // namespace vila
