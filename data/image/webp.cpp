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
// and that many bytes, padded to an even number. The chunk EXIF holds the orientation, with or
// without the prefix that JPEG uses.
int find_orientation(Bytes bytes) {
    constexpr char kPrefix[] = "Exif\0";
    size_t position = 12;
    while (bytes.size() >= position + 8) {
        const uint8_t* head = bytes.data() + position;
        const size_t length = static_cast<uint32_t>(head[4]) | static_cast<uint32_t>(head[5]) << 8 |
                              static_cast<uint32_t>(head[6]) << 16 |
                              static_cast<uint32_t>(head[7]) << 24;
        position += 8;
        if (length > bytes.size() - position) break;
        if (std::memcmp(head, "EXIF", 4) == 0) {
            Bytes exif = bytes.subspan(position, length);
            if (length > sizeof(kPrefix) && std::memcmp(exif.data(), kPrefix, sizeof(kPrefix)) == 0)
                exif = exif.subspan(sizeof(kPrefix));
            return exif_orientation(exif);
        }
        position += length + length % 2;
    }
    return 1;
}

}  // namespace

bool has_webp() {
    return true;
}

Decoded decode_webp(Bytes bytes, const std::string& name) {
    WebPBitstreamFeatures features;
    VILA_CHECK(WebPGetFeatures(bytes.data(), bytes.size(), &features) == VP8_STATUS_OK, name,
               ": the WebP file is cut short or damaged");
    VILA_CHECK(!features.has_animation, name,
               ": animated WebP is not supported; save one frame of it as PNG");
    check_image_size(features.width, features.height, static_cast<int64_t>(bytes.size()), name);
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

#endif

}  // namespace vila::data
