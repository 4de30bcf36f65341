#include "tensor/check.h"

namespace vila {

std::string one_line(std::string_view text) {
    constexpr char kDigits[] = "0123456789abcdef";
    std::string line;
    line.reserve(text.size());
    for (size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
        if (byte == '\n') {
            line += "\\n";
        } else if (byte == '\t') {
            line += "\\t";
        } else if (byte < 0x20 || byte == 0x7f) {
            line += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
        } else if (byte == 0xc2 && next >= 0x80 && next < 0xa0) {
            // The control characters U+0080 to U+009F, of which U+009B begins control sequences.
            line += {'\\', 'x', kDigits[next >> 4], kDigits[next & 15]};
            ++i;
        } else {
            line += text[i];
        }
    }
    return line;
}

}  // namespace vila
