// Decodes JPEG. This file walks the markers, for the limits and the orientation. libjpeg-turbo
// decodes the pixels with its defaults (accurate integer IDCT, triangle-filtered chroma), as in
// Pillow; builds without that library use stb_image.

#include <cstddef>
#include <cstdio>
#include <cstring>
#include <memory>

#ifdef VILA_HAVE_JPEG
#include <csetjmp>

#include <jpeglib.h>
#else
#include <stb_image.h>
#endif

#include "data/image/image_formats.h"

namespace vila::data {

namespace {

// The content of a file's markers.
struct Markers {
    int64_t width = 0, height = 0;
    int64_t scans = 0;
    Orientation orientation;
    bool complete = false;  // ends with an end-of-image marker
};

bool is_frame_header(uint8_t marker) {
    // SOF0 to SOF15, without DHT, JPG and DAC, which lie in the same range.
    return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
}

// Moves past the next marker and returns it, or 0 if there is none. Skips coded data, in which 0xff
// is followed by 0 or by the number of a restart marker.
uint8_t next_marker(Bytes bytes, size_t& position) {
    while (position + 1 < bytes.size()) {
        const void* found = std::memchr(bytes.data() + position, 0xff, bytes.size() - position - 1);
        if (found == nullptr) break;
        position = static_cast<size_t>(static_cast<const uint8_t*>(found) - bytes.data()) + 1;
        const uint8_t marker = bytes[position];
        if (marker == 0xff) continue;  // a fill byte
        ++position;
        const bool restart = marker >= 0xd0 && marker <= 0xd7;
        if (marker > 0x01 && !restart) return marker;
    }
    position = bytes.size();
    return 0;
}

// Reads all markers up to the end of the image, so that a decoder sees no more scans than are
// counted here.
Markers read_markers(Bytes bytes) {
    constexpr uint8_t kStart = 0xd8, kEnd = 0xd9, kScan = 0xda, kApp1 = 0xe1;
    constexpr char kExif[] = "Exif\0";  // a second zero ends the literal
    constexpr char kXmp[] = "http://ns.adobe.com/xap/1.0/";
    const auto holds = [](Bytes segment, const auto& prefix) {
        return segment.size() > sizeof(prefix) &&
               std::memcmp(segment.data(), prefix, sizeof(prefix)) == 0;
    };
    Markers markers;
    bool exif_seen = false;
    size_t position = 2;
    while (const uint8_t marker = next_marker(bytes, position)) {
        if (marker == kEnd) {
            markers.complete = true;
            break;
        }
        if (marker == kStart) continue;
        if (bytes.size() - position < 2) break;
        const size_t length = static_cast<size_t>(bytes[position] << 8 | bytes[position + 1]);
        if (length < 2 || length > bytes.size() - position) break;
        const Bytes segment = bytes.subspan(position + 2, length - 2);
        position += length;
        if (marker == kScan) ++markers.scans;
        if (is_frame_header(marker) && segment.size() >= 5 && markers.width == 0) {
            markers.height = segment[1] << 8 | segment[2];
            markers.width = segment[3] << 8 | segment[4];
        }
        if (marker == kApp1 && !exif_seen && holds(segment, kExif)) {
            markers.orientation.exif = exif_orientation(segment.subspan(sizeof(kExif)));
            exif_seen = true;
        }
        if (marker == kApp1 && markers.scans == 0 && holds(segment, kXmp))
            markers.orientation.xmp = xmp_orientation(segment.subspan(sizeof(kXmp)));
    }
    return markers;
}

#ifdef VILA_HAVE_JPEG

// libjpeg reports an error through a callback that must not return. The callback jumps to the
// setjmp of one of the two functions below, which hold no object with a destructor; no exception
// crosses C code.
struct ErrorHandler {
    jpeg_error_mgr manager;  // first, so that libjpeg's pointer is ours
    std::jmp_buf back;
    char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void on_error(j_common_ptr info) {
    auto* handler = reinterpret_cast<ErrorHandler*>(info->err);
    handler->manager.format_message(info, handler->message);
    std::longjmp(handler->back, 1);
}

void ignore_message(j_common_ptr, int) {}

struct Decoder {
    jpeg_decompress_struct info{};
    ErrorHandler errors{};

    Decoder() {
        info.err = jpeg_std_error(&errors.manager);
        errors.manager.error_exit = on_error;
        errors.manager.emit_message = ignore_message;
    }
    ~Decoder() { jpeg_destroy_decompress(&info); }
    Decoder(const Decoder&) = delete;
    Decoder& operator=(const Decoder&) = delete;
};

// Reads the headers and chooses the output color space. Returns false on an error.
bool read_header(Decoder& decoder, Bytes bytes) {
    if (setjmp(decoder.errors.back) != 0) return false;
    jpeg_create_decompress(&decoder.info);
    jpeg_mem_src(&decoder.info, bytes.data(), static_cast<unsigned long>(bytes.size()));
    jpeg_read_header(&decoder.info, TRUE);
    decoder.info.out_color_space = decoder.info.num_components == 1   ? JCS_GRAYSCALE
                                   : decoder.info.num_components == 4 ? JCS_CMYK
                                                                      : JCS_RGB;
    return true;
}

// Decodes all rows, `row_bytes` each, into `pixels`. Returns false on an error.
bool read_rows(Decoder& decoder, uint8_t* pixels, size_t row_bytes) {
    if (setjmp(decoder.errors.back) != 0) return false;
    jpeg_start_decompress(&decoder.info);
    while (decoder.info.output_scanline < decoder.info.output_height) {
        JSAMPROW row = pixels + decoder.info.output_scanline * row_bytes;
        jpeg_read_scanlines(&decoder.info, &row, 1);
    }
    jpeg_finish_decompress(&decoder.info);
    return true;
}

// Returns a * b / 255, rounded, for bytes.
uint8_t scale_byte(int a, int b) {
    const int product = a * b + 128;
    return static_cast<uint8_t>(((product >> 8) + product) >> 8);
}

// Converts gray, or CMYK as Adobe stores it (inverted), to RGB.
Image to_rgb(const std::vector<uint8_t>& pixels, int64_t width, int64_t height, int64_t channels) {
    Image image(width, height);
    for (int64_t i = 0; i < width * height; ++i) {
        const uint8_t* from = pixels.data() + i * channels;
        uint8_t* to = image.rgb.data() + i * 3;
        for (int64_t c = 0; c < 3; ++c) {
            // from[3] is 255 - black; from[c] is 255 - ink.
            to[c] = channels == 1
                        ? from[0]
                        : static_cast<uint8_t>(from[3] - scale_byte(255 - from[c], from[3]));
        }
    }
    return image;
}

Image decode_pixels(Bytes bytes, const std::string& name) {
    const auto decoder = std::make_unique<Decoder>();
    const auto check = [&](bool done) {
        VILA_CHECK(done, name, ": the JPEG file is damaged: ", decoder->errors.message);
    };
    check(read_header(*decoder, bytes));
    const int64_t width = decoder->info.image_width, height = decoder->info.image_height;
    const int64_t channels = decoder->info.num_components;
    check_image_size({width, height, kJpegBits}, static_cast<int64_t>(bytes.size()), name);
    if (channels == 3) {
        Image image(width, height);
        check(read_rows(*decoder, image.rgb.data(), static_cast<size_t>(width * 3)));
        return image;
    }
    std::vector<uint8_t> pixels(static_cast<size_t>(width * height * channels));
    check(read_rows(*decoder, pixels.data(), static_cast<size_t>(width * channels)));
    return to_rgb(pixels, width, height, channels);
}

#else

struct FreePixels {
    void operator()(void* pixels) const { stbi_image_free(pixels); }
};

Image decode_pixels(Bytes bytes, const std::string& name) {
    int width = 0, height = 0, channels = 0;
    const std::unique_ptr<uint8_t, FreePixels> pixels(stbi_load_from_memory(
        bytes.data(), static_cast<int>(bytes.size()), &width, &height, &channels, 3));
    VILA_CHECK(pixels != nullptr, name, ": the JPEG file is damaged: ", stbi_failure_reason());
    Image image(width, height);
    std::memcpy(image.rgb.data(), pixels.get(), image.rgb.size());
    return image;
}

#endif

}  // namespace

const char* jpeg_decoder_name() {
#ifdef VILA_HAVE_JPEG
    return "libjpeg-turbo";
#else
    return "stb_image";
#endif
}

StoredSize size_of_jpeg(Bytes start, const std::string& name) {
    constexpr uint8_t kScan = 0xda;
    size_t position = 2;
    for (uint8_t marker = next_marker(start, position); marker != 0 && marker != kScan;
         marker = next_marker(start, position)) {
        ByteReader reader(start, name);
        reader.seek(static_cast<int64_t>(position));
        const int64_t length = reader.u16_be();
        if (!is_frame_header(marker)) {
            position += static_cast<size_t>(length);
            continue;
        }
        reader.u8();  // bits per sample
        const int64_t height = reader.u16_be();
        return {reader.u16_be(), height, kJpegBits};
    }
    throw Error(name + ": the JPEG file is damaged: it holds no image");
}

Decoded decode_jpeg(Bytes bytes, const std::string& name) {
    const Markers markers = read_markers(bytes);
    VILA_CHECK(markers.complete, name, ": the JPEG file is cut short: it has no end marker");
    VILA_CHECK(markers.width > 0 && markers.scans > 0, name,
               ": the JPEG file is damaged: it holds no image");
    check_image_size({markers.width, markers.height, kJpegBits}, static_cast<int64_t>(bytes.size()),
                     name);
    VILA_CHECK(markers.scans <= kMaxJpegScans &&
                   markers.scans * markers.width * markers.height <= kMaxJpegScanPixels,
               name, ": the JPEG file draws its ", markers.width, " x ", markers.height,
               " pixels in ", markers.scans, " scans: at most ", kMaxJpegScans, " scans and ",
               kMaxJpegScanPixels, " pixels over all of them are decoded; re-save it");
    return {decode_pixels(bytes, name), markers.orientation};
}

}  // namespace vila::data
