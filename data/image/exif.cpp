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
UprightImage::UprightImage(int64_t stored_width, int64_t stored_height, int orientation)
    : stored_width_(stored_width),
      stored_height_(stored_height),
      transpose_(orientation >= 5),
      mirror_x_(orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8),
      mirror_y_(orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7),
      image_(transpose_ ? stored_height : stored_width, transpose_ ? stored_width : stored_height) {
}

void UprightImage::put_rows(int64_t first, int64_t count, const uint8_t* rows) {
    const auto put = [&](int64_t x, int64_t row) {
        const int64_t y = first + row;
        const int64_t column = mirror_x_ ? stored_width_ - 1 - x : x;
        const int64_t line = mirror_y_ ? stored_height_ - 1 - y : y;
        uint8_t* to = transpose_ ? image_.at(line, column) : image_.at(column, line);
        std::copy_n(rows + (row * stored_width_ + x) * 3, 3, to);
    };
    // In the order in which the pixels lie in the upright image.
    if (transpose_) {
        for (int64_t x = 0; x < stored_width_; ++x)
            for (int64_t row = 0; row < count; ++row) put(x, row);
    } else if (mirror_x_) {
        for (int64_t row = 0; row < count; ++row)
            for (int64_t x = 0; x < stored_width_; ++x) put(x, row);
    } else {
        for (int64_t row = 0; row < count; ++row) {
            const int64_t y = first + row;
            std::copy_n(rows + row * stored_width_ * 3, stored_width_ * 3,
                        image_.at(0, mirror_y_ ? stored_height_ - 1 - y : y));
        }
    }
}

Image apply_orientation(Image image, int orientation, int64_t file_bytes, const std::string& name) {
    const auto bytes = static_cast<int64_t>(image.rgb.size());
    const auto swap_pixels = [&](int64_t x, int64_t y, int64_t other_x, int64_t other_y) {
        std::swap_ranges(image.at(x, y), image.at(x, y) + 3, image.at(other_x, other_y));
    };
    switch (orientation) {
        case 1:
            return image;
        case 2:
            for (int64_t y = 0; y < image.height; ++y)
                for (int64_t x = 0; x < image.width / 2; ++x)
                    swap_pixels(x, y, image.width - 1 - x, y);
            return image;
        case 3:
            for (int64_t i = 0; i < image.width * image.height / 2; ++i)
                std::swap_ranges(image.rgb.data() + i * 3, image.rgb.data() + i * 3 + 3,
                                 image.rgb.data() + bytes - (i + 1) * 3);
            return image;
        case 4:
            for (int64_t y = 0; y < image.height / 2; ++y)
                std::swap_ranges(image.at(0, y), image.at(0, y) + image.width * 3,
                                 image.at(0, image.height - 1 - y));
            return image;
        default:
            check_decoding_memory(file_bytes + 2 * bytes, {image.width, image.height}, name);
            UprightImage upright(image.width, image.height, orientation);
            upright.put_rows(0, image.height, image.rgb.data());
            return upright.take();
    }
}

}  // namespace vila::data
