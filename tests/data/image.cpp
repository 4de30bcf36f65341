// Decoders: every golden file gives Pillow's pixels to the byte. Any other sequence of bytes gives
// an image or a one-line error that names the file.
//
// If stb_image decodes JPEG, only sizes and approximate agreement are promised.

#include "data/image/image.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <random>
#include <set>

#include "tensor/check.h"
#include "tests/support/image_goldens.h"

namespace vila::data {
namespace {

bool is_jpeg(const std::filesystem::path& path) {
    return path.extension() == ".jpg";
}
bool exact_jpeg() {
    return std::string(jpeg_decoder_name()) == "libjpeg-turbo";
}

std::vector<std::filesystem::path> golden_files() {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(image_goldens())) {
        const std::filesystem::path extension = entry.path().extension();
        if (extension == ".ppm" || extension == ".txt" || extension == ".json") continue;
        if (extension == ".webp" && !has_webp()) continue;
        files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    return files;
}

std::string error_of(const std::vector<uint8_t>& bytes) {
    try {
        decode_image(bytes, "a/file");
    } catch (const Error& error) {
        return error.what();
    }
    return "no error";
}

std::vector<uint8_t> bytes_of(const std::string& text) {
    return {text.begin(), text.end()};
}

void expect_part(const std::string& message, const std::string& part) {
    EXPECT_NE(message.find(part), std::string::npos) << message << "\n  should contain: " << part;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
}

void expect_close(const Image& actual, const Image& expected) {
    ASSERT_EQ(actual.rgb.size(), expected.rgb.size());
    int64_t sum = 0;
    for (size_t i = 0; i < actual.rgb.size(); ++i) sum += std::abs(actual.rgb[i] - expected.rgb[i]);
    EXPECT_LE(sum, static_cast<int64_t>(actual.rgb.size()) * 4);
}

TEST(DataImage, PixelsEqualPillow) {
    const auto files = golden_files();
    ASSERT_GE(files.size(), 80U);
    for (const auto& path : files) {
        SCOPED_TRACE(path.filename());
        const Image expected = read_ppm(path.string() + ".ppm");
        const Image actual = load_image(path);
        EXPECT_EQ(actual.width, expected.width);
        EXPECT_EQ(actual.height, expected.height);
        if (is_jpeg(path) && !exact_jpeg()) {
            expect_close(actual, expected);
        } else {
            EXPECT_EQ(actual.rgb, expected.rgb);
        }
    }
}

// Headers that claim huge images, without any data after them.
std::vector<uint8_t> gif_of(int width, int height) {
    std::vector<uint8_t> gif = bytes_of("GIF89a");
    const auto size = [&] {
        for (const int side : {width, height})
            for (const int shift : {0, 8}) gif.push_back(static_cast<uint8_t>(side >> shift));
    };
    size();
    gif.insert(gif.end(), {0, 0, 0, ',', 0, 0, 0, 0});
    size();
    gif.insert(gif.end(), {0, 8, 1, 0, 0, ';'});
    return gif;
}

// Scanned pages: 104 MB of RGB from files of 1 to 136 kilobytes.
TEST(DataImage, ReadsLargeBlankPages) {
    const std::filesystem::path folder = image_goldens().parent_path() / "pages";
    int files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        SCOPED_TRACE(entry.path().filename());
        if (entry.path().extension() == ".webp" && !has_webp()) continue;
        ++files;
        const Image page = load_image(entry.path());
        ASSERT_EQ(page.width, 4960);
        ASSERT_EQ(page.height, 7016);
        int64_t wrong = 0;
        for (int64_t y = 0; y < page.height; y += 4)
            for (int64_t x = 0; x < page.width; ++x) {
                const bool black = x >= 96 && x < 296 && y >= 200 && y < 264;
                wrong += *page.at(x, y) == (black ? 0 : 255) ? 0 : 1;
            }
        EXPECT_EQ(wrong, 0);
    }
    EXPECT_GE(files, 3);
}

TEST(DataImage, ReadsTheSizeFromTheBeginning) {
    for (const auto& path : golden_files()) {
        SCOPED_TRACE(path.filename());
        if (path.filename() == "gif_small_screen.gif") continue;  // grows to hold its image
        const std::vector<uint8_t> bytes = read_bytes(path);
        const std::span<const uint8_t> start(bytes.data(), std::min<size_t>(bytes.size(), 1200));
        const ImageSize size =
            read_image_size(start, static_cast<int64_t>(bytes.size()), path.string());
        const Image image = decode_image(bytes, path.string());
        EXPECT_EQ(std::minmax(size.width, size.height), std::minmax(image.width, image.height));
    }
    const auto message = [](std::vector<uint8_t> bytes) {
        try {
            read_image_size(bytes, static_cast<int64_t>(bytes.size()), "a/file");
        } catch (const Error& error) {
            return std::string(error.what());
        }
        return std::string("no error");
    };
    expect_part(message(bytes_of("<html>")), "a/file: not an image that can be read");
    expect_part(message({}), "a/file: the image file is empty");
    expect_part(message(gif_of(16385, 1)), "a side may have at most 16384");
    for (const char* file : {"jpeg_420.jpg", "png_pillow.png", "webp_lossy.webp"}) {
        std::vector<uint8_t> bytes = read_bytes(image_goldens() / file);
        if (std::string(file).ends_with("webp") && !has_webp()) continue;
        bytes.resize(20);
        expect_part(message(bytes), "a/file: ");
    }
}

// A file that is truncated anywhere is refused, unless only bytes after its last pixel are missing.
TEST(DataImage, RefusesTruncatedFiles) {
    for (const auto& path : golden_files()) {
        SCOPED_TRACE(path.filename());
        const std::vector<uint8_t> bytes = read_bytes(path);
        const Image whole = decode_image(bytes, "whole");
        for (size_t length = 0; length < bytes.size(); ++length) {
            const std::span<const uint8_t> part(bytes.data(), length);
            try {
                const Image image = decode_image(part, "cut");
                EXPECT_EQ(image, whole) << length << " of " << bytes.size() << " bytes";
                EXPECT_GT(length * 3, bytes.size());
            } catch (const Error& error) {
                EXPECT_EQ(std::string(error.what()).rfind("cut: ", 0), 0U) << error.what();
            }
        }
    }
}

TEST(DataImage, DescribesFilesThatAreNoImage) {
    expect_part(error_of({}), "a/file: the image file is empty");
    expect_part(error_of(bytes_of("<html>\n<body>Not found</body>")),
                "a/file: not an image that can be read (JPEG, PNG, GIF, BMP");
    expect_part(error_of(bytes_of("<html>\n<body>Not found</body>")),
                "found text starting with \"<html> <body>Not\"");
    expect_part(error_of({0x7f, 'E', 'L', 'F', 2}), "found bytes 7f 45 4c 46 02");
    std::vector<uint8_t> jpeg = read_bytes(image_goldens() / "jpeg_420.jpg");
    jpeg.resize(jpeg.size() / 2);
    expect_part(error_of(jpeg), "a/file: the JPEG file is cut short");
    std::vector<uint8_t> png = read_bytes(image_goldens() / "png_pillow.png");
    png.resize(png.size() / 2);
    expect_part(error_of(png), "a/file: the image file is cut short");
    png = read_bytes(image_goldens() / "png_pillow.png");
    png[png.size() / 2] ^= 1;
    expect_part(error_of(png), "a/file: the PNG file is damaged: checksum of the chunk at byte 33");
}

TEST(DataImage, NamesFilesThatCannotBeOpened) {
    const auto folder = std::filesystem::temp_directory_path();
    for (const auto& path : {folder / "no such picture.png", folder}) {
        try {
            load_image(path);
            ADD_FAILURE() << path;
        } catch (const Error& error) {
            expect_part(error.what(), path.string());
        }
    }
}

TEST(DataImage, EnforcesLimits) {
    expect_part(error_of(gif_of(16385, 1)),
                "a/file: the image is 16385 x 1 pixels: a side may have at most 16384");
    expect_part(error_of(gif_of(16384, 4097)), "at most 67108864 in all");
    expect_part(error_of(gif_of(5000, 5000)), "bytes claim to hold 5000 x 5000 pixels");
    expect_part(error_of(gif_of(0, 7)), "both sides must be at least 1");
    std::vector<uint8_t> long_file(kMaxImageFileBytes + 1);
    expect_part(error_of(long_file), "at most 67108864 are read");
}

// A progressive file that repeats its last scan many times.
TEST(DataImage, LimitsProgressiveScans) {
    std::vector<uint8_t> jpeg = read_bytes(image_goldens() / "jpeg_progressive_420.jpg");
    const uint8_t kScan[] = {0xff, 0xda};
    const auto last = std::find_end(jpeg.begin(), jpeg.end(), kScan, kScan + 2);
    const std::vector<uint8_t> scan(last, jpeg.end() - 2);
    jpeg.erase(jpeg.end() - 2, jpeg.end());
    for (int64_t i = 0; i < kMaxJpegScans; ++i) jpeg.insert(jpeg.end(), scan.begin(), scan.end());
    jpeg.insert(jpeg.end(), {0xff, 0xd9});
    expect_part(error_of(jpeg), "scans: at most 500 scans");
}

// Twenty million pixels in 110 scans: the decoder refuses it after reading only the markers.
TEST(DataImage, LimitsWorkOverScans) {
    std::vector<uint8_t> jpeg = {0xff, 0xd8, 0xff, 0xc2, 0, 11,   8, 0x0f,
                                 0xa0, 0x13, 0x88, 1,    1, 0x11, 0};
    for (int i = 0; i < 110; ++i) jpeg.insert(jpeg.end(), {0xff, 0xda, 0, 8, 1, 1, 0, 0, 0, 0, 7});
    jpeg.insert(jpeg.end(), {0xff, 0xd9});
    expect_part(error_of(jpeg), "draws its 5000 x 4000 pixels in 110 scans");
}

// JPEG has no checksums. Data that libjpeg could decode only with a guess are refused; bytes
// between the data and the end marker, as some cameras write them, are not.
TEST(DataImage, RefusesDamagedJpegData) {
    if (!exact_jpeg()) GTEST_SKIP() << "this build has no libjpeg-turbo";
    int files = 0;
    for (const auto& path : golden_files()) {
        if (!is_jpeg(path)) continue;
        SCOPED_TRACE(path.filename());
        ++files;
        const std::vector<uint8_t> jpeg = read_bytes(path);
        constexpr uint8_t kScan[] = {0xff, 0xda}, kEnd[] = {0xff, 0xd9};
        const auto end = std::find_end(jpeg.begin(), jpeg.end(), kEnd, kEnd + 2);
        const auto scan = std::find_end(jpeg.begin(), end, kScan, kScan + 2) + 14;
        const auto middle = scan + (end - scan) / 2;

        std::vector<uint8_t> ends_early(jpeg.begin(), middle);
        ends_early.insert(ends_early.end(), {0xff, 0xd9});
        expect_part(error_of(ends_early), "a/file: the JPEG file is damaged: Corrupt JPEG data: ");

        std::vector<uint8_t> ones(jpeg.begin(), middle);
        for (int i = 0; i < 8; ++i) ones.insert(ones.end(), {0xff, 0});
        ones.insert(ones.end(), middle + std::min<int64_t>(16, end - middle), jpeg.end());
        expect_part(error_of(ones), "a/file: the JPEG file is damaged: Corrupt JPEG data: ");

        std::vector<uint8_t> padded(jpeg.begin(), end);
        padded.insert(padded.end(), 20, 0);
        padded.insert(padded.end(), end, jpeg.end());
        EXPECT_EQ(decode_image(padded, "padded"), decode_image(jpeg, "whole"));
    }
    EXPECT_GT(files, 20);
}

TEST(DataImage, IgnoresDamagedExif) {
    std::vector<uint8_t> jpeg = read_bytes(image_goldens() / "jpeg_exif_6.jpg");
    const Image turned = decode_image(jpeg, "turned");
    const std::string mark = "Exif";
    const auto exif = std::search(jpeg.begin(), jpeg.end(), mark.begin(), mark.end()) + 6;
    const Image stored = read_ppm(image_goldens() / "jpeg_exif_1.jpg.ppm");
    ASSERT_NE(turned.width, stored.width);
    // Byte order, the number 42, the directory's offset, its length, the value: each wrong or out
    // of bounds.
    for (const int64_t at : {0, 3, 4, 5, 6, 7, 31}) {
        std::vector<uint8_t> damaged = jpeg;
        damaged[static_cast<size_t>(exif - jpeg.begin() + at)] = 0xee;
        const Image image = decode_image(damaged, "damaged");
        EXPECT_EQ(image.width, stored.width) << at;
        EXPECT_EQ(image.height, stored.height) << at;
    }
}

// Corrects the checksums of a PNG file. Otherwise they would reveal nearly every mutation.
void repair_png(std::vector<uint8_t>& png) {
    size_t at = 8;
    const auto word = [&](size_t i) {
        return static_cast<uint32_t>(png[i]) << 24 | static_cast<uint32_t>(png[i + 1]) << 16 |
               static_cast<uint32_t>(png[i + 2]) << 8 | png[i + 3];
    };
    while (at + 12 <= png.size() && word(at) <= png.size() - at - 12) {
        const size_t end = at + 8 + word(at);
        uint32_t crc = 0xffffffffU;
        for (size_t i = at + 4; i < end; ++i) {
            crc ^= png[i];
            for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) ? 0xedb88320U : 0);
        }
        for (size_t i = 0; i < 4; ++i) png[end + i] = static_cast<uint8_t>(~crc >> (24 - 8 * i));
        at = end + 4;
    }
}

void mutate(std::vector<uint8_t>& bytes, std::mt19937_64& random) {
    const auto below = [&](size_t limit) { return static_cast<size_t>(random() % limit); };
    const size_t changes = 1 + below(6);
    for (size_t i = 0; i < changes && bytes.size() > 12; ++i) {
        const size_t at = below(bytes.size());
        const size_t length = std::min(bytes.size() - at, 1 + below(16));
        const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(at);
        constexpr uint8_t kTelling[] = {0, 1, 0x7f, 0x80, 0xff, 0xd9, 0xda, 0x2c};
        switch (below(6)) {
            case 0:
                bytes[at] = static_cast<uint8_t>(random());
                break;
            case 1:
                bytes[at] ^= static_cast<uint8_t>(1 << below(8));
                break;
            case 2:
                bytes[at] = kTelling[below(std::size(kTelling))];
                break;
            case 3:
                bytes.erase(begin, begin + static_cast<std::ptrdiff_t>(length));
                break;
            case 4: {
                const std::vector<uint8_t> copy(begin, begin + static_cast<std::ptrdiff_t>(length));
                bytes.insert(begin, copy.begin(), copy.end());
                break;
            }
            default:
                std::fill_n(begin, length, kTelling[below(std::size(kTelling))]);
        }
    }
}

// 2,000 damaged files of each kind give an image within the limits or a one-line error.
TEST(DataImage, SurvivesDamage) {
    const std::vector<std::filesystem::path> files = golden_files();
    std::set<std::string> kinds;
    for (const auto& path : files) kinds.insert(path.extension().string());
    for (const std::string& kind : kinds) {
        SCOPED_TRACE(kind);
        std::vector<std::vector<uint8_t>> originals;
        for (const auto& path : files)
            if (path.extension() == kind) originals.push_back(read_bytes(path));
        std::mt19937_64 random(20240607);
        int decoded = 0;
        for (int i = 0; i < 2000; ++i) {
            std::vector<uint8_t> bytes = originals[static_cast<size_t>(i) % originals.size()];
            mutate(bytes, random);
            if (kind == ".png" && bytes.size() > 8) repair_png(bytes);
            try {
                const Image image = decode_image(bytes, "damaged");
                EXPECT_EQ(static_cast<int64_t>(image.rgb.size()), image.width * image.height * 3);
                ++decoded;
            } catch (const Error& error) {
                const std::string message = error.what();
                EXPECT_EQ(message.rfind("damaged: ", 0), 0U) << message;
                EXPECT_EQ(message.find('\n'), std::string::npos) << message;
            }
        }
        EXPECT_GT(decoded, 20);
        EXPECT_LT(decoded, 1980);
    }
}

}  // namespace
}  // namespace vila::data
