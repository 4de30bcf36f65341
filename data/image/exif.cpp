// Reads the orientation, the one field of the metadata that changes how an image looks, and turns
// an image by it. In EXIF it is tag 0x0112 in the first directory of a TIFF structure; in XMP, the
// attribute or element tiff:Orientation of an XML text.
//
// A TIFF structure starts with "II" or "MM" for the byte order, the number 42 and the offset of the
// first directory. A directory is a count and that many entries of 12 bytes: tag, type, count,
// value. Orientation has type 3 (16 bits). Some programs write it as 32 bits, which is read too.
// With any other type the image is not turned, as in Pillow.

#include <algorithm>
#include <string_view>

#include "data/image/image_formats.h"

namespace vila::data {

namespace {

// Reads integers at an offset in either byte order; 0 past the end.
struct TiffReader {
    Bytes bytes;
    bool big_endian;

    uint32_t read(size_t offset, size_t width) const {
        if (offset > bytes.size() || bytes.size() - offset < width) return 0;
        uint32_t value = 0;
        for (size_t i = 0; i < width; ++i)
            value = value << 8 | bytes[offset + (big_endian ? i : width - 1 - i)];
        return value;
    }
};

}  // namespace

std::optional<int> exif_orientation(Bytes tiff) {
    constexpr uint32_t kOrientationTag = 0x0112;
    constexpr uint32_t kShort = 3, kLong = 4;
    if (tiff.size() < 8 || tiff[0] != tiff[1] || (tiff[0] != 'I' && tiff[0] != 'M')) return {};
    const TiffReader reader{tiff, tiff[0] == 'M'};
    if (reader.read(2, 2) != 42) return {};
    const size_t directory = reader.read(4, 4);
    const size_t entries = reader.read(directory, 2);
    for (size_t i = 0; i < entries; ++i) {
        const size_t entry = directory + 2 + i * 12;
        if (reader.read(entry, 2) != kOrientationTag) continue;
        const uint32_t type = reader.read(entry + 2, 2);
        if (type != kShort && type != kLong) return 1;
        const uint32_t value = reader.read(entry + 8, type == kShort ? 2 : 4);
        return static_cast<int>(std::min<uint32_t>(value, 9));
    }
    return {};
}

std::optional<int> xmp_orientation(Bytes xmp) {
    const std::string_view text(reinterpret_cast<const char*>(xmp.data()), xmp.size());
    constexpr std::string_view kName = "tiff:Orientation";
    for (size_t at = text.find(kName); at != std::string_view::npos; at = text.find(kName, at)) {
        at += kName.size();
        std::string_view rest = text.substr(at);
        if (rest.starts_with("=\""))
            rest.remove_prefix(2);
        else if (rest.starts_with('>'))
            rest.remove_prefix(1);
        else
            continue;
        if (!rest.empty() && rest[0] >= '0' && rest[0] <= '9') return rest[0] - '0';
    }
    return {};
}

// The eight orientations are the symmetries of a rectangle. To find the stored pixel of the shown
// pixel (x, y), transpose (x, y), then mirror it along either axis:
//
//   1 as stored   2 mirrored left-right   3 turned by 180   4 mirrored top-bottom
//   5 transposed  6 turned right by 90    7 anti-transposed 8 turned left by 90
Image apply_orientation(Image image, int orientation) {
    if (orientation == 1) return image;
    const bool transpose = orientation >= 5;
    const bool mirror_x =
        orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    const bool mirror_y =
        orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    Image upright(transpose ? image.height : image.width, transpose ? image.width : image.height);
    for (int64_t y = 0; y < upright.height; ++y) {
        for (int64_t x = 0; x < upright.width; ++x) {
            const int64_t column = transpose ? y : x;
            const int64_t row = transpose ? x : y;
            const uint8_t* from = image.at(mirror_x ? image.width - 1 - column : column,
                                           mirror_y ? image.height - 1 - row : row);
            uint8_t* to = upright.at(x, y);
            for (int c = 0; c < 3; ++c) to[c] = from[c];
        }
    }
    return upright;
}

}  // namespace vila::data
