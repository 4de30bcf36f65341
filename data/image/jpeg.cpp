// Decodes JPEG. This file walks the markers, for the limits and the orientation. libjpeg-turbo
// decodes the pixels with its defaults (accurate integer IDCT, triangle-filtered chroma), as in
// Pillow; builds without that library use stb_image.

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <memory>

#ifdef VILA_HAVE_JPEG
#include <csetjmp>

#include <jpeglib.h>

#include <jerror.h>
#else
#include <stb_image.h>
#endif

#include "data/image/image_formats.h"
#include "tensor/int_math.h"

namespace vila::data {

namespace {

// The content of a file's markers.
struct Markers {
    int64_t width = 0, height = 0;
    std::vector<uint8_t> sampling;  // of each component: horizontal factor << 4 | vertical factor
    bool progressive = false;
    int64_t first_scan = 0;  // components in the first scan
    int64_t scans = 0;
    Orientation orientation;
    bool complete = false;  // ends with an end-of-image marker
};

bool is_frame_header(uint8_t marker) {
    // SOF0 to SOF15, without DHT, JPG and DAC, which lie in the same range.
    return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
}

bool is_progressive(uint8_t marker) {
    return marker == 0xc2 || marker == 0xc6 || marker == 0xca || marker == 0xce;
}

// Reads the content of a frame header: bits per sample, height, width, number of components, and
// three bytes for each of them: name, sampling factors, table.
void read_frame(uint8_t marker, Bytes segment, Markers& markers) {
    if (segment.size() < 6 || markers.width != 0) return;
    markers.height = segment[1] << 8 | segment[2];
    markers.width = segment[3] << 8 | segment[4];
    markers.progressive = is_progressive(marker);
    for (size_t at = 7; at < segment.size() && markers.sampling.size() < segment[5]; at += 3)
        markers.sampling.push_back(segment[at]);
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
        if (marker == kScan && markers.scans++ == 0)
            markers.first_scan = segment.empty() ? 0 : segment[0];
        if (is_frame_header(marker)) read_frame(marker, segment, markers);
        if (marker == kApp1 && !exif_seen && holds(segment, kExif)) {
            markers.orientation.exif = exif_orientation(segment.subspan(sizeof(kExif)));
            exif_seen = true;
        }
        if (marker == kApp1 && markers.scans == 0 && holds(segment, kXmp))
            markers.orientation.xmp = xmp_orientation(segment.subspan(sizeof(kXmp)));
    }
    return markers;
}

// Returns the number of coded samples of all components, in whole blocks of 8 x 8.
int64_t coded_samples(const Markers& markers) {
    const auto across = [](uint8_t factors) { return std::clamp(factors >> 4, 1, 4); };
    const auto down = [](uint8_t factors) { return std::clamp(factors & 15, 1, 4); };
    int64_t most_across = 1, most_down = 1, samples = 0;
    for (const uint8_t factors : markers.sampling) {
        most_across = std::max<int64_t>(most_across, across(factors));
        most_down = std::max<int64_t>(most_down, down(factors));
    }
    for (const uint8_t factors : markers.sampling)
        samples += ceil_div(markers.width, 8 * most_across) * across(factors) *
                   ceil_div(markers.height, 8 * most_down) * down(factors) * 64;
    return samples;
}

// In memory are the pixels, some rows and, if the components come in several scans, two bytes for
// every sample of all of them.
StoredSize stored_size(const Markers& markers) {
    constexpr int64_t kRows = 256;  // of RGB, those of a strip and those in libjpeg
    const bool several_scans = markers.progressive || markers.scans > 1 ||
                               markers.first_scan < static_cast<int64_t>(markers.sampling.size());
    const int64_t samples = coded_samples(markers);
    int64_t memory =
        3 * markers.width * (markers.height + kRows) + (several_scans ? 2 * samples : 0);
    // stb_image has all samples and a second copy of the pixels.
    if (std::strcmp(jpeg_decoder_name(), "stb_image") == 0)
        memory += samples + 3 * markers.width * markers.height;
    return {markers.width, markers.height, kJpegBits, memory};
}

#ifdef VILA_HAVE_JPEG

// Rows that are decoded before they are put into the image.
constexpr int64_t kStripRows = 16;

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

// Returns whether the pixels are right in spite of a warning of libjpeg. All other warnings mean
// that the coded data are damaged.
bool is_harmless(int warning) {
    return warning == JWRN_EXTRANEOUS_DATA || warning == JWRN_ADOBE_XFORM ||
           warning == JWRN_JFIF_MAJOR || warning == JWRN_NOT_SEQUENTIAL;
}

// libjpeg calls this for warnings with level -1, and for remarks with others.
void on_message(j_common_ptr info, int level) {
    if (level < 0 && !is_harmless(info->err->msg_code)) on_error(info);
}

struct Decoder {
    jpeg_decompress_struct info{};
    ErrorHandler errors{};

    Decoder() {
        info.err = jpeg_std_error(&errors.manager);
        errors.manager.error_exit = on_error;
        errors.manager.emit_message = on_message;
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

// Begins to decode pixels. Returns false on an error.
bool start(Decoder& decoder) {
    if (setjmp(decoder.errors.back) != 0) return false;
    jpeg_start_decompress(&decoder.info);
    return true;
}

// Decodes the next `count` rows, `row_bytes` each, and the rest of the file after the last one.
// Returns false on an error.
bool read_rows(Decoder& decoder, uint8_t* rows, size_t row_bytes, int64_t count) {
    if (setjmp(decoder.errors.back) != 0) return false;
    const int64_t first = decoder.info.output_scanline;
    while (decoder.info.output_scanline < first + count) {
        JSAMPROW row = rows + (decoder.info.output_scanline - first) * row_bytes;
        jpeg_read_scanlines(&decoder.info, &row, 1);
    }
    if (decoder.info.output_scanline == decoder.info.output_height)
        jpeg_finish_decompress(&decoder.info);
    return true;
}

// Returns a * b / 255, rounded, for bytes.
uint8_t scale_byte(int a, int b) {
    const int product = a * b + 128;
    return static_cast<uint8_t>(((product >> 8) + product) >> 8);
}

// Converts gray, or CMYK as Adobe stores it (inverted), to RGB.
void to_rgb(const std::vector<uint8_t>& pixels, int64_t channels, std::vector<uint8_t>& rgb) {
    for (size_t i = 0; i < rgb.size() / 3; ++i) {
        const uint8_t* from = pixels.data() + i * static_cast<size_t>(channels);
        uint8_t* to = rgb.data() + i * 3;
        for (int64_t c = 0; c < 3; ++c) {
            // from[3] is 255 - black; from[c] is 255 - ink.
            to[c] = channels == 1
                        ? from[0]
                        : static_cast<uint8_t>(from[3] - scale_byte(255 - from[c], from[3]));
        }
    }
}

// Decodes strips of rows, and turns each of them, so that there is never a second image in memory.
Image decode_pixels(Bytes bytes, const Markers& markers, const std::string& name) {
    const auto decoder = std::make_unique<Decoder>();
    const auto check = [&](bool done) {
        VILA_CHECK(done, name, ": the JPEG file is damaged: ", decoder->errors.message);
    };
    check(read_header(*decoder, bytes));
    const int64_t width = decoder->info.image_width, height = decoder->info.image_height;
    const int64_t channels = decoder->info.num_components;
    VILA_CHECK(width == markers.width && height == markers.height &&
                   channels == static_cast<int64_t>(markers.sampling.size()),
               name, ": the JPEG file is damaged: it has two frame headers");
    check(start(*decoder));
    UprightImage image(width, height, markers.orientation.value());
    std::vector<uint8_t> rgb(static_cast<size_t>(width * kStripRows * 3));
    std::vector<uint8_t> pixels;  // of a file that is not RGB
    if (channels != 3) pixels.resize(static_cast<size_t>(width * kStripRows * channels));
    for (int64_t first = 0; first < height; first += kStripRows) {
        const int64_t count = std::min(kStripRows, height - first);
        check(read_rows(*decoder, channels == 3 ? rgb.data() : pixels.data(),
                        static_cast<size_t>(width * channels), count));
        if (channels != 3) to_rgb(pixels, channels, rgb);
        image.put_rows(first, count, rgb.data());
    }
    return image.take();
}

#else

struct FreePixels {
    void operator()(void* pixels) const { stbi_image_free(pixels); }
};

Image decode_pixels(Bytes bytes, const Markers& markers, const std::string& name) {
    int width = 0, height = 0, channels = 0;
    const std::unique_ptr<uint8_t, FreePixels> pixels(stbi_load_from_memory(
        bytes.data(), static_cast<int>(bytes.size()), &width, &height, &channels, 3));
    VILA_CHECK(pixels != nullptr, name, ": the JPEG file is damaged: ", stbi_failure_reason());
    UprightImage image(width, height, markers.orientation.value());
    image.put_rows(0, height, pixels.get());
    return image.take();
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
    const Markers markers = read_markers(start);
    VILA_CHECK(markers.width > 0, name, ": the JPEG file is damaged: it holds no image");
    return stored_size(markers);
}

Decoded decode_jpeg(Bytes bytes, const std::string& name) {
    const Markers markers = read_markers(bytes);
    VILA_CHECK(markers.complete, name, ": the JPEG file is cut short: it has no end marker");
    VILA_CHECK(markers.width > 0 && markers.scans > 0, name,
               ": the JPEG file is damaged: it holds no image");
    check_image_size(stored_size(markers), static_cast<int64_t>(bytes.size()), name);
    VILA_CHECK(markers.scans <= kMaxJpegScans &&
                   markers.scans * markers.width * markers.height <= kMaxJpegScanPixels,
               name, ": the JPEG file draws its ", markers.width, " x ", markers.height,
               " pixels in ", markers.scans, " scans: at most ", kMaxJpegScans, " scans and ",
               kMaxJpegScanPixels, " pixels over all of them are decoded; re-save it");
    return {decode_pixels(bytes, markers, name), {}};  // upright already
}

}  // namespace vila::data
