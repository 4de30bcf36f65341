// The decoder follows Table 3-7 of the Unicode standard, the normalizer section 3.11. Marks are
// sorted in O(n log n), so that a million of them on one letter do not take quadratic time.

#include "data/text/unicode.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <vector>

#include "data/text/unicode_classes.h"
#include "data/text/unicode_composition.h"

namespace vila::data {

namespace {

uint8_t byte_at(std::string_view text, size_t index) {
    return static_cast<uint8_t>(text[index]);
}

// The length of the sequence that a lead byte begins, and the range of the second byte; length 0:
// not a lead byte.
struct Lead {
    int64_t length;
    uint8_t second_least, second_most;
};

Lead lead(uint8_t byte) {
    if (byte < 0xC2 || byte > 0xF4) return {0, 0, 0};
    if (byte < 0xE0) return {2, 0x80, 0xBF};
    if (byte == 0xE0) return {3, 0xA0, 0xBF};
    if (byte == 0xED) return {3, 0x80, 0x9F};
    if (byte < 0xF0) return {3, 0x80, 0xBF};
    if (byte == 0xF0) return {4, 0x90, 0xBF};
    if (byte == 0xF4) return {4, 0x80, 0x8F};
    return {4, 0x80, 0xBF};
}

// Returns how many bytes of `text` fit the form that its first byte announces: at least 1.
int64_t fitting_bytes(std::string_view text, const Lead& form) {
    int64_t count = 1;
    while (count < form.length && count < static_cast<int64_t>(text.size())) {
        const uint8_t byte = byte_at(text, count);
        const uint8_t least = count == 1 ? form.second_least : 0x80;
        const uint8_t most = count == 1 ? form.second_most : 0xBF;
        if (byte < least || byte > most) break;
        ++count;
    }
    return count;
}

template <typename Range>
const Range* find_range(std::span<const Range> ranges, uint32_t code) {
    const auto above = std::upper_bound(ranges.begin(), ranges.end(), code,
                                        [](uint32_t c, const Range& r) { return c < r.first; });
    if (above == ranges.begin()) return nullptr;
    const Range& range = *std::prev(above);
    return code <= range.last ? &range : nullptr;
}

std::string with_replacements(std::string_view text, bool each_byte) {
    std::string valid;
    valid.reserve(text.size());
    while (!text.empty()) {
        const Utf8Char next = first_char(text);
        if (next.code != kInvalidCode) {
            valid.append(text.substr(0, next.bytes));
        } else {
            const int64_t count = each_byte ? next.bytes : 1;
            for (int64_t i = 0; i < count; ++i) append_char(valid, 0xFFFD);
        }
        text.remove_prefix(next.bytes);
    }
    return valid;
}

// ---- Canonical composition ----

// Marks a byte of a broken sequence among the codes.
constexpr uint32_t kRawByte = 0x80000000;
// Below this every character is its own canonical form and composes with nothing before it.
constexpr uint32_t kFirstInteresting = 0x300;

constexpr uint32_t kHangulFirst = 0xAC00, kLeadFirst = 0x1100, kVowelFirst = 0x1161;
constexpr uint32_t kTailBefore = 0x11A7, kLeads = 19, kVowels = 21, kTails = 28;
constexpr uint32_t kHangulCount = kLeads * kVowels * kTails;

int32_t combining_class(uint32_t code) {
    if (code < kFirstInteresting) return 0;
    const CombiningRange* range = find_range(std::span<const CombiningRange>(kCombining), code);
    return range == nullptr ? 0 : range->combining_class;
}

void append_decomposed(uint32_t code, std::vector<uint32_t>& out) {
    if (code - kHangulFirst < kHangulCount) {
        const uint32_t syllable = code - kHangulFirst;
        out.push_back(kLeadFirst + syllable / (kVowels * kTails));
        out.push_back(kVowelFirst + syllable % (kVowels * kTails) / kTails);
        if (syllable % kTails != 0) out.push_back(kTailBefore + syllable % kTails);
        return;
    }
    const auto row =
        std::lower_bound(std::begin(kDecompositions), std::end(kDecompositions), code,
                         [](const Decomposition& d, uint32_t c) { return d.code < c; });
    if (row == std::end(kDecompositions) || row->code != code) {
        out.push_back(code);
        return;
    }
    append_decomposed(row->first, out);
    if (row->second != 0) append_decomposed(row->second, out);
}

// Returns the composition of two characters, 0 if they do not compose.
uint32_t composed(uint32_t first, uint32_t second) {
    if (first - kLeadFirst < kLeads && second - kVowelFirst < kVowels)
        return kHangulFirst + ((first - kLeadFirst) * kVowels + (second - kVowelFirst)) * kTails;
    if (first - kHangulFirst < kHangulCount && (first - kHangulFirst) % kTails == 0 &&
        second - kTailBefore - 1 < kTails - 1)
        return first + (second - kTailBefore);
    const auto wanted = std::pair(first, second);
    const auto row = std::lower_bound(
        std::begin(kCompositions), std::end(kCompositions), wanted,
        [](uint16_t index, const std::pair<uint32_t, uint32_t>& pair) {
            return std::pair(kDecompositions[index].first, kDecompositions[index].second) < pair;
        });
    if (row == std::end(kCompositions)) return 0;
    const Decomposition& found = kDecompositions[*row];
    return std::pair(found.first, found.second) == wanted ? found.code : 0;
}

std::vector<uint32_t> decompose(std::string_view text) {
    std::vector<uint32_t> codes;
    codes.reserve(text.size());
    while (!text.empty()) {
        const Utf8Char next = first_char(text);
        if (next.code == kInvalidCode)
            for (int64_t i = 0; i < next.bytes; ++i) codes.push_back(kRawByte | byte_at(text, i));
        else
            append_decomposed(next.code, codes);
        text.remove_prefix(next.bytes);
    }
    return codes;
}

// Sorts the marks after each base character by their classes.
void order_marks(std::vector<uint32_t>& codes) {
    auto at = codes.begin();
    while (at != codes.end()) {
        if (combining_class(*at) == 0) {
            ++at;
            continue;
        }
        const auto end =
            std::find_if(at, codes.end(), [](uint32_t c) { return combining_class(c) == 0; });
        std::stable_sort(at, end, [](uint32_t a, uint32_t b) {
            return combining_class(a) < combining_class(b);
        });
        at = end;
    }
}

// Composes in place: a mark joins the last base character unless a mark of its own class or a
// higher one lies between them.
void compose(std::vector<uint32_t>& codes) {
    size_t kept = 0;
    size_t base = codes.size();  // none yet
    int32_t last_class = 0;      // of the last kept character
    for (const uint32_t code : codes) {
        const int32_t mark_class = combining_class(code);
        if (base < kept && (base + 1 == kept || mark_class > last_class)) {
            const uint32_t joined = composed(codes[base], code);
            if (joined != 0) {
                codes[base] = joined;
                continue;
            }
        }
        if (mark_class == 0) base = kept;
        last_class = mark_class;
        codes[kept++] = code;
    }
    codes.resize(kept);
}

}  // namespace

Utf8Char first_char(std::string_view text) {
    const uint8_t first = byte_at(text, 0);
    if (first < 0x80) return {first, 1};
    const Lead form = lead(first);
    if (form.length == 0) return {kInvalidCode, 1};
    const int64_t fitting = fitting_bytes(text, form);
    if (fitting < form.length) return {kInvalidCode, fitting};
    uint32_t code = first & (0x7Fu >> form.length);
    for (int64_t i = 1; i < form.length; ++i) code = code << 6 | (byte_at(text, i) & 0x3Fu);
    return {code, form.length};
}

void append_char(std::string& text, uint32_t code) {
    const auto put = [&](uint32_t byte) { text.push_back(static_cast<char>(byte)); };
    if (code < 0x80) return put(code);
    if (code < 0x800) {
        put(0xC0 | code >> 6);
    } else {
        if (code < 0x10000) {
            put(0xE0 | code >> 12);
        } else {
            put(0xF0 | code >> 18);
            put(0x80 | (code >> 12 & 0x3F));
        }
        put(0x80 | (code >> 6 & 0x3F));
    }
    put(0x80 | (code & 0x3F));
}

std::string valid_utf8(std::string_view text) {
    return with_replacements(text, false);
}

std::string valid_utf8_by_bytes(std::string_view text) {
    return with_replacements(text, true);
}

int64_t incomplete_tail(std::string_view text) {
    const auto size = static_cast<int64_t>(text.size());
    for (int64_t length = 1; length <= std::min<int64_t>(size, 3); ++length) {
        const std::string_view tail = text.substr(size - length);
        const Lead form = lead(byte_at(tail, 0));
        if (form.length > length && fitting_bytes(tail, form) == length) return length;
    }
    return 0;
}

CharClass char_class(uint32_t code) {
    if (code < 0x80) {
        if ((code | 0x20) - 'a' < 26) return CharClass::Letter;
        if (code - '0' < 10) return CharClass::Number;
        return code == ' ' || code - '\t' < 5 ? CharClass::Space : CharClass::Other;
    }
    if (find_range(std::span<const CodeRange>(kLetters), code)) return CharClass::Letter;
    if (find_range(std::span<const CodeRange>(kNumbers), code)) return CharClass::Number;
    const bool space = code == 0x85 || code == 0xA0 || code == 0x1680 || code - 0x2000 < 11 ||
                       code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F ||
                       code == 0x3000;
    return space ? CharClass::Space : CharClass::Other;
}

bool is_word_char(uint32_t code) {
    return char_class(code) == CharClass::Letter ||
           find_range(std::span<const CodeRange>(kWordMarks), code) != nullptr;
}

std::string nfc(std::string_view text) {
    // The first byte of characters from U+0300 on is at least 0xCC.
    if (std::none_of(text.begin(), text.end(),
                     [](char byte) { return static_cast<uint8_t>(byte) >= 0xCC; }))
        return std::string(text);
    std::vector<uint32_t> codes = decompose(text);
    order_marks(codes);
    compose(codes);
    std::string composed_text;
    composed_text.reserve(text.size());
    for (const uint32_t code : codes) {
        if (code & kRawByte)
            composed_text.push_back(static_cast<char>(code & 0xFF));
        else
            append_char(composed_text, code);
    }
    return composed_text;
}

}  // namespace vila::data
