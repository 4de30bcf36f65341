// Decodes WebP with libwebp, in builds that have it. Animations are refused: they need a second
// library.

#include "data/image/image_formats.h"

#ifdef VILA_HAVE_WEBP
#include <cstring>

#include <webp/decode.h>
#endif

namespace vila::data {

#ifdef VILA_HAVE_WEBP

namespace {

// Finds the orientation. The file is RIFF: after twelve bytes come chunks, each a name, a length
// and that many bytes, padded to an even number. The chunk EXIF holds EXIF data, with or without
// the prefix that JPEG uses, and the chunk "XMP " an XMP packet.
Orientation find_orientation(Bytes bytes) {
    constexpr char kPrefix[] = "Exif\0";
    Orientation orientation;
    size_t position = 12;
    while (bytes.size() >= position + 8) {
        const uint8_t* head = bytes.data() + position;
        const size_t length = static_cast<uint32_t>(head[4]) | static_cast<uint32_t>(head[5]) << 8 |
                              static_cast<uint32_t>(head[6]) << 16 |
                              static_cast<uint32_t>(head[7]) << 24;
        position += 8;
        if (length > bytes.size() - position) break;
        Bytes content = bytes.subspan(position, length);
        if (std::memcmp(head, "XMP ", 4) == 0) orientation.xmp = xmp_orientation(content);
        if (std::memcmp(head, "EXIF", 4) == 0) {
            if (length > sizeof(kPrefix) &&
                std::memcmp(content.data(), kPrefix, sizeof(kPrefix)) == 0)
                content = content.subspan(sizeof(kPrefix));
            orientation.exif = exif_orientation(content);
        }
        position += length + length % 2;
    }
    return orientation;
}

// libwebp allocates 4 bytes for a pixel of a lossless image, which it decodes as a whole. It
// decodes other images by rows, but a channel of transparency as a whole, in up to 5 bytes a pixel.
StoredSize stored_size(const WebPBitstreamFeatures& features) {
    constexpr int kLossy = 1;
    const int64_t channels = features.format != kLossy ? 4 : features.has_alpha ? 5 : 0;
    const int64_t pixels = int64_t{features.width} * features.height;
    return {features.width, features.height, kWebpBits, pixels * (channels + 3)};
}

}  // namespace

bool has_webp() {
    return true;
}

StoredSize size_of_webp(Bytes start, const std::string& name) {
    WebPBitstreamFeatures features;
    VILA_CHECK(WebPGetFeatures(start.data(), start.size(), &features) == VP8_STATUS_OK, name,
               ": the WebP file is cut short or damaged");
    return stored_size(features);
}

Decoded decode_webp(Bytes bytes, const std::string& name) {
    WebPBitstreamFeatures features;
    VILA_CHECK(WebPGetFeatures(bytes.data(), bytes.size(), &features) == VP8_STATUS_OK, name,
               ": the WebP file is cut short or damaged");
    VILA_CHECK(!features.has_animation, name,
               ": animated WebP is not supported; save one frame of it as PNG");
    check_image_size(stored_size(features), static_cast<int64_t>(bytes.size()), name);
    Image image(features.width, features.height);
    const uint8_t* done = WebPDecodeRGBInto(bytes.data(), bytes.size(), image.rgb.data(),
                                            image.rgb.size(), static_cast<int>(image.width * 3));
    VILA_CHECK(done != nullptr, name, ": the WebP file is cut short or damaged");
    return {std::move(image), find_orientation(bytes)};
}

#else

bool has_webp() {
    return false;
}

Decoded decode_webp(Bytes, const std::string& name) {
    throw Error(name +
                ": this build does not read WebP; install libwebp-dev and build again, or save the "
                "image as PNG");
}

StoredSize size_of_webp(Bytes start, const std::string& name) {
    decode_webp(start, name);  // throws
    return {};
}

#endif

}  // namespace vila::data
