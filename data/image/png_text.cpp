#include "data/image/png_text.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <stb_image.h>

namespace vila::data {

namespace {

// Returns the text of a zlib stream, at most kMaxTextBytes; empty if it is longer or damaged.
std::string inflate_text(Bytes stream) {
    constexpr int kMaxTextBytes = 1 << 20;
    std::string text(kMaxTextBytes, '\0');
    const int bytes = stbi_zlib_decode_buffer(text.data(), kMaxTextBytes,
                                              reinterpret_cast<const char*>(stream.data()),
                                              static_cast<int>(stream.size()));
    text.resize(static_cast<size_t>(std::max(bytes, 0)));
    return text;
}

// Reads the orientation from EXIF data in the hexadecimal form of ImageMagick: an empty line, a
// name and a length, then lines of digits.
std::optional<int> profile_orientation(const std::string& profile) {
    std::vector<uint8_t> exif;
    int digits = 0, value = 0, line = 0;
    for (const char c : profile) {
        if (c == '\n') ++line;
        constexpr const char* kDigits = "0123456789abcdef";
        const int lower = std::tolower(static_cast<unsigned char>(c));
        const char* found = line < 3 || c == '\0' ? nullptr : std::strchr(kDigits, lower);
        if (found == nullptr) continue;
        value = (value * 16 + static_cast<int>(found - kDigits)) & 255;
        if (++digits % 2 == 0) exif.push_back(static_cast<uint8_t>(value));
    }
    constexpr char kPrefix[] = "Exif\0";
    Bytes tiff(exif);
    if (tiff.size() > sizeof(kPrefix) && std::memcmp(tiff.data(), kPrefix, sizeof(kPrefix)) == 0)
        tiff = tiff.subspan(sizeof(kPrefix));
    return exif_orientation(tiff);
}

}  // namespace

void read_png_text(PngText kind, Bytes content, PngTexts& texts) {
    const std::string_view chunk(reinterpret_cast<const char*>(content.data()), content.size());
    const std::string_view name = chunk.substr(0, chunk.find('\0'));
    const bool is_xmp = name == "XML:com.adobe.xmp", is_profile = name == "Raw profile type exif";
    if (!is_xmp && !is_profile) return;
    size_t at = name.size() + 1;
    bool is_packed = kind == PngText::Packed;
    if (is_packed) ++at;  // the method
    if (kind == PngText::International) {
        is_packed = at < chunk.size() && chunk[at] == 1;
        at += 2;                                 // whether it is compressed, and the method
        for (int field = 0; field < 2; ++field)  // language, translated name
            at = std::min(chunk.find('\0', std::min(at, chunk.size())), chunk.size()) + 1;
    }
    if (at >= content.size()) return;
    const Bytes stored = content.subspan(at);
    const std::string text =
        is_packed ? inflate_text(stored) : std::string(stored.begin(), stored.end());
    if (is_profile) texts.exif = profile_orientation(text);
    if (is_xmp)
        texts.xmp = xmp_orientation({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

}  // namespace vila::data
