// The memory that decoders take: no accepted picture needs more than kMaxDecodingBytes, as
// measured, and pictures that would are refused by their headers.

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "data/image/image.h"
#include "tensor/check.h"
#include "tests/support/image_goldens.h"

namespace vila::data {
namespace {

using Pixels = std::vector<uint8_t>;

void append(Pixels& bytes, int64_t value, int count, bool big_endian = true) {
    for (int i = 0; i < count; ++i)
        bytes.push_back(static_cast<uint8_t>(value >> (8 * (big_endian ? count - 1 - i : i))));
}
void append(Pixels& bytes, const std::string& text) {
    bytes.insert(bytes.end(), text.begin(), text.end());
}

// A gray or colored JPEG without subsampling, each of whose blocks is two codes of one bit (the
// same shade as the block before; no detail), so that zero bytes are its data.
struct BlankJpeg {
    int64_t width, height;
    int components = 3;
    bool progressive = false;  // with one scan, of the shades
    int orientation = 1;

    Pixels bytes() const {
        Pixels jpeg = {0xff, 0xd8};
        if (orientation > 1) {
            append(jpeg, 0xffe1, 2), append(jpeg, 34, 2);
            append(jpeg,
                   std::string("Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01", 24));
            append(jpeg, orientation, 2), append(jpeg, 0, 6);
        }
        append(jpeg, 0xffdb, 2), append(jpeg, 67, 2), append(jpeg, 0, 1);
        jpeg.insert(jpeg.end(), 64, 1);
        append(jpeg, progressive ? 0xffc2 : 0xffc0, 2), append(jpeg, 8 + 3 * components, 2);
        append(jpeg, 8, 1), append(jpeg, height, 2), append(jpeg, width, 2);
        append(jpeg, components, 1);
        for (int c = 1; c <= components; ++c) append(jpeg, c << 16 | 0x1100, 3);
        for (const int table : {0x00, 0x10}) {  // one code, "0": no difference; no more detail
            append(jpeg, 0xffc4, 2), append(jpeg, 20, 2), append(jpeg, table, 1);
            jpeg.push_back(1);
            jpeg.insert(jpeg.end(), 16, 0);
        }
        append(jpeg, 0xffda, 2), append(jpeg, 6 + 2 * components, 2), append(jpeg, components, 1);
        for (int c = 1; c <= components; ++c) append(jpeg, c << 8, 2);
        append(jpeg, progressive ? 0x000000 : 0x003f00, 3);
        const int64_t blocks = (width + 7) / 8 * ((height + 7) / 8) * components;
        jpeg.insert(jpeg.end(), static_cast<size_t>(blocks * (progressive ? 1 : 2) / 8 + 1), 0);
        append(jpeg, 0xffd9, 2);
        return jpeg;
    }
};

// Zeros compressed by deflate: one literal, then copies of 258 of the byte before, in fixed codes.
Pixels deflated_zeros(int64_t count) {
    Pixels stream = {0x78, 0x01};
    uint64_t held = 0;
    int bits = 0;
    const auto put = [&](uint64_t value, int length) {
        held |= value << bits;
        for (bits += length; bits >= 8; bits -= 8, held >>= 8)
            stream.push_back(static_cast<uint8_t>(held));
    };
    put(0b011, 3);                                         // the last block; fixed codes
    for (; count % 258 != 0; --count) put(0b00001100, 8);  // the literal 0, its first bit lowest
    for (; count > 0; count -= 258) put(0b00000'10100011, 13);
    put(0, 7 + 7);  // the end, and padding
    append(stream, 0, 4);
    return stream;
}

uint32_t crc_of(const Pixels& bytes, size_t begin) {
    uint32_t crc = 0xffffffffU;
    for (size_t i = begin; i < bytes.size(); ++i) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) ? 0xedb88320U : 0);
    }
    return ~crc;
}

void append_chunk(Pixels& png, const std::string& type, const Pixels& content) {
    append(png, static_cast<int64_t>(content.size()), 4);
    const size_t begin = png.size();
    append(png, type);
    png.insert(png.end(), content.begin(), content.end());
    append(png, crc_of(png, begin), 4);
}

// A black PNG: color type, bits of a sample, and bytes of all rows.
Pixels blank_png(int64_t width, int64_t height, int color, int depth, bool interlaced,
                 int64_t inflated) {
    Pixels png;
    append(png, "\x89PNG\r\n\x1a\n");
    Pixels header;
    append(header, width, 4), append(header, height, 4);
    append(header, depth << 8 | color, 2), append(header, interlaced ? 1 : 0, 3);
    append_chunk(png, "IHDR", header);
    append_chunk(png, "IDAT", deflated_zeros(inflated));
    append_chunk(png, "IEND", {});
    return png;
}

struct Measured {
    bool decoded = false;
    int64_t bytes = 0;  // beside those of the file
    std::string message;
};

// Decodes in a process of its own, whose peak memory it compares with that of one that does not.
Measured measure(const Pixels& file) {
    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    const auto peak_of = [&](bool decodes) {
        const pid_t child = ::fork();
        if (child == 0) {
            std::string result = "0";
            try {
                if (decodes) result = str("1", decode_image(file, "picture").width);
            } catch (const Error& error) {
                result = str("0", error.what());
            }
            const ssize_t written = ::write(ends[1], result.data(), result.size());
            std::_Exit(written > 0 ? 0 : 1);
        }
        int status = 0;
        rusage usage = {};
        EXPECT_EQ(::wait4(child, &status, 0, &usage), child);
        EXPECT_EQ(status, 0);
        return int64_t{usage.ru_maxrss} * 1024;
    };
    char text[1024];
    const int64_t before = peak_of(false);
    EXPECT_EQ(::read(ends[0], text, sizeof text), 1);
    Measured measured;
    measured.bytes = peak_of(true) - before;
    const ssize_t got = ::read(ends[0], text, sizeof text);
    measured.decoded = got > 0 && text[0] == '1';
    measured.message = std::string(text + 1, static_cast<size_t>(std::max<ssize_t>(got, 1) - 1));
    ::close(ends[0]);
    ::close(ends[1]);
    return measured;
}

constexpr bool kMemoryIsMeasurable =
#if defined(__SANITIZE_ADDRESS__)
    false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    false;
#else
    true;
#endif
#else
    true;
#endif

// Small allocations of the decoders and of the C library.
constexpr int64_t kSmall = 8'000'000;

void expect_decoded(const char* what, const Pixels& file) {
    SCOPED_TRACE(what);
    const Measured measured = measure(file);
    EXPECT_TRUE(measured.decoded) << measured.message;
    EXPECT_LE(measured.bytes + static_cast<int64_t>(file.size()), kMaxDecodingBytes + kSmall);
    EXPECT_GT(measured.bytes, kMaxDecodingBytes / 8) << "the picture is too small for this test";
}

TEST(ImageMemory, AcceptedPicturesStayBelowTheLimit) {
    if (!kMemoryIsMeasurable) GTEST_SKIP() << "sanitizers use memory of their own";
    const bool turbo = std::string(jpeg_decoder_name()) == "libjpeg-turbo";
    if (turbo) {
        expect_decoded("48 megapixels, turned",
                       BlankJpeg{.width = 8000, .height = 6000, .orientation = 6}.bytes());
        expect_decoded(
            "progressive CMYK",
            BlankJpeg{.width = 5000, .height = 5000, .components = 4, .progressive = true}.bytes());
    }
    expect_decoded("RGBA of 16 bits", blank_png(6000, 6000, 6, 16, false, 6000 * (1 + 6000 * 8)));
    expect_decoded("interlaced", blank_png(5000, 5000, 6, 8, true, 5000 * 5000 * 4 + 9375));
    for (const char* page : {"1_bit.gif", "lossless.webp"}) {
        const std::filesystem::path path = image_goldens().parent_path() / "pages" / page;
        if (path.extension() == ".webp" && !has_webp()) continue;
        expect_decoded(page, read_bytes(path));
    }
}

TEST(ImageMemory, LargerPicturesAreRefusedByTheirHeaders) {
    const auto refused = [](const char* what, Pixels file, const std::string& megabytes) {
        SCOPED_TRACE(what);
        file.resize(std::max<size_t>(file.size(), 2'000'000));  // not obviously too short
        const Measured measured = measure(file);
        EXPECT_NE(measured.message.find("pixels takes " + megabytes + " MB of memory: at most 300"),
                  std::string::npos)
            << measured.message;
        EXPECT_TRUE(!kMemoryIsMeasurable || measured.bytes < 4 * kSmall) << measured.bytes;
        const auto start = std::span(file).first(65536);
        EXPECT_THROW(read_image_size(start, static_cast<int64_t>(file.size()), "picture"), Error);
    };
    refused("RGBA of 16 bits", blank_png(16384, 4096, 6, 16, false, 0), "540");
    refused("interlaced", blank_png(8000, 8000, 2, 8, true, 0), "388");
    Pixels gif;
    append(gif, "GIF89a");
    for (int i = 0; i < 2; ++i) append(gif, 8190, 2, false);
    append(gif, 0, 3), append(gif, ","), append(gif, 0, 4);
    for (int i = 0; i < 2; ++i) append(gif, 8190, 2, false);
    gif.resize(20'000'000);
    refused("GIF", gif, "308");
    if (std::string(jpeg_decoder_name()) != "libjpeg-turbo") return;
    refused("progressive", BlankJpeg{.width = 8000, .height = 6000, .progressive = true}.bytes(),
            "440");
    refused("progressive CMYK",
            BlankJpeg{.width = 8192, .height = 8192, .components = 4, .progressive = true}.bytes(),
            "746");
}

}  // namespace
}  // namespace vila::data
