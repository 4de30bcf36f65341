// Decodes PNG (ISO/IEC 15948): chunks, checksums, filters, interlacing and all color types.
// stb_image inflates the data into a buffer of exactly the size that the header promises.
//
// A file is a signature and chunks: length, type, content, CRC-32 of type and content. IHDR comes
// first. PLTE holds the colors of indexed images. The IDAT chunks together are one zlib stream of
// rows, each a filter number and its bytes. No other chunk changes the decoded pixels.

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include <stb_image.h>

#include "data/image/image_formats.h"
#include "data/image/png_text.h"

namespace vila::data {

namespace {

constexpr size_t kSignatureBytes = 8;

constexpr uint32_t tag(const char (&name)[5]) {
    uint32_t value = 0;
    for (int i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(name[i]);
    return value;
}

constexpr std::array<uint32_t, 256> make_crc_table() {
    std::array<uint32_t, 256> table{};
    for (uint32_t byte = 0; byte < 256; ++byte) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) ? 0xedb88320U ^ (crc >> 1) : crc >> 1;
        table[byte] = crc;
    }
    return table;
}
constexpr std::array<uint32_t, 256> kCrcTable = make_crc_table();

uint32_t crc32(Bytes bytes) {
    uint32_t crc = 0xffffffffU;
    for (const uint8_t byte : bytes) crc = kCrcTable[(crc ^ byte) & 255] ^ (crc >> 8);
    return ~crc;
}

enum ColorType : uint8_t { kGray = 0, kRgb = 2, kIndexed = 3, kGrayAlpha = 4, kRgbAlpha = 6 };

struct Header {
    int64_t width = 0, height = 0;
    int64_t depth = 0;  // bits per sample: 1, 2, 4, 8, 16
    uint8_t color = kGray;
    bool interlaced = false;

    int64_t channels() const {
        switch (color) {
            case kRgb:
                return 3;
            case kGrayAlpha:
                return 2;
            case kRgbAlpha:
                return 4;
            default:
                return 1;
        }
    }
    // Returns the bytes of a row of `columns` pixels, without its filter number.
    int64_t row_bytes(int64_t columns) const { return (columns * channels() * depth + 7) / 8; }
    // Returns whether a row of RGB needs no more bytes than the stored row.
    bool decodes_in_place() const { return !interlaced && channels() * depth >= 24; }
};

Header read_header(Bytes content, const std::string& name) {
    ByteReader reader(content, name);
    Header header;
    header.width = reader.u32_be();
    header.height = reader.u32_be();
    header.depth = reader.u8();
    header.color = reader.u8();
    const uint8_t compression = reader.u8(), filter = reader.u8(), interlace = reader.u8();
    const int64_t depth = header.depth;
    const bool deep = depth == 8 || depth == 16, shallow = depth == 1 || depth == 2 || depth == 4;
    const bool legal =
        header.color == kGray      ? deep || shallow
        : header.color == kIndexed ? shallow || depth == 8
        : header.color == kRgb || header.color == kGrayAlpha || header.color == kRgbAlpha ? deep
                                                                                          : false;
    VILA_CHECK(legal && compression == 0 && filter == 0 && interlace <= 1, name,
               ": the PNG file is damaged: color type ", int{header.color}, ", depth ", depth,
               ", compression ", int{compression}, ", filter ", int{filter}, ", interlace ",
               int{interlace}, " do not exist together");
    header.interlaced = interlace == 1;
    return header;
}

// The pixels (x0 + i * dx, y0 + j * dy): one of Adam7's seven passes, or the whole image.
struct Pass {
    int64_t x0, y0, dx, dy;

    int64_t columns(const Header& header) const { return (header.width - x0 + dx - 1) / dx; }
    int64_t rows(const Header& header) const {
        // A pass without columns stores no rows either, not even their filter numbers.
        return columns(header) > 0 ? (header.height - y0 + dy - 1) / dy : 0;
    }
};
constexpr Pass kWhole[] = {{0, 0, 1, 1}};
constexpr Pass kAdam7[] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
                           {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};

std::span<const Pass> passes(const Header& header) {
    if (header.interlaced) return kAdam7;
    return kWhole;
}

// Returns the bytes of all rows with their filter numbers.
int64_t inflated_bytes(const Header& header) {
    int64_t bytes = 0;
    for (const Pass& pass : passes(header))
        bytes += pass.rows(header) * (1 + header.row_bytes(pass.columns(header)));
    return bytes;
}

// In memory are the joined IDAT chunks, the inflated rows, and the pixels, which may take the place
// of the rows.
StoredSize stored_size(const Header& header) {
    StoredSize size = {header.width, header.height, header.channels() * header.depth};
    if (size.width <= 0 || size.height <= 0 || size.width > kMaxImageSide ||
        size.height > kMaxImageSide)
        return size;  // check_image_size() refuses it
    size.memory = inflated_bytes(header);
    if (!header.decodes_in_place()) size.memory += size.width * size.height * 3;
    size.copies = 1;
    return size;
}

std::vector<uint8_t> inflate(const std::vector<uint8_t>& stream, const Header& header,
                             const std::string& name) {
    const int64_t expected = inflated_bytes(header);
    std::vector<uint8_t> rows(static_cast<size_t>(expected));
    const int got = stbi_zlib_decode_buffer(
        reinterpret_cast<char*>(rows.data()), static_cast<int>(rows.size()),
        reinterpret_cast<const char*>(stream.data()), static_cast<int>(stream.size()));
    VILA_CHECK(got == expected, name,
               ": the PNG file is damaged: its pixels do not inflate to the ", expected,
               " bytes that its header promises");
    return rows;
}

uint8_t paeth(int left, int up, int corner) {
    const int estimate = left + up - corner;
    const int to_left = std::abs(estimate - left), to_up = std::abs(estimate - up),
              to_corner = std::abs(estimate - corner);
    if (to_left <= to_up && to_left <= to_corner) return static_cast<uint8_t>(left);
    return static_cast<uint8_t>(to_up <= to_corner ? up : corner);
}

// Undoes a row's filter in place. `previous` is the row above, zeros for the first row; `stride` is
// the distance in bytes to the same sample of the pixel to the left.
void unfilter(uint8_t filter, uint8_t* row, const uint8_t* previous, int64_t bytes, int64_t stride,
              const std::string& name) {
    const auto left = [&](int64_t i) { return i < stride ? 0 : int{row[i - stride]}; };
    const auto corner = [&](int64_t i) { return i < stride ? 0 : int{previous[i - stride]}; };
    const auto add = [&](int64_t i, int value) { row[i] = static_cast<uint8_t>(row[i] + value); };
    switch (filter) {
        case 0:
            return;
        case 1:
            for (int64_t i = 0; i < bytes; ++i) add(i, left(i));
            return;
        case 2:
            for (int64_t i = 0; i < bytes; ++i) add(i, previous[i]);
            return;
        case 3:
            for (int64_t i = 0; i < bytes; ++i) add(i, (left(i) + previous[i]) / 2);
            return;
        case 4:
            for (int64_t i = 0; i < bytes; ++i) add(i, paeth(left(i), previous[i], corner(i)));
            return;
        default:
            throw Error(
                str(name, ": the PNG file is damaged: filter ", int{filter}, " does not exist"));
    }
}

// Returns sample `index` of a row as stored; of a 16-bit sample, its upper byte.
uint8_t sample(const uint8_t* row, int64_t index, int64_t depth) {
    if (depth == 8) return row[index];
    if (depth == 16) return row[index * 2];
    const int64_t bit = index * depth;
    const int64_t shift = 8 - depth - bit % 8;
    return static_cast<uint8_t>((row[bit / 8] >> shift) & ((1 << depth) - 1));
}

// Returns gray as 8 bits. As in Pillow, 16-bit gray without alpha saturates: every value above 255
// is white.
uint8_t gray_sample(const uint8_t* row, int64_t index, const Header& header) {
    if (header.depth == 16 && header.color == kGray)
        return row[index * 2] != 0 ? uint8_t{255} : row[index * 2 + 1];
    const uint8_t value = sample(row, index, header.depth);
    if (header.depth >= 8) return value;
    return static_cast<uint8_t>(value * 255 / ((1 << header.depth) - 1));
}

// Converts a stored row to RGB. Its pixels are `step` pixels apart in the image, the first at
// `first`.
void put_row(const uint8_t* row, const Header& header, const Palette& palette, int64_t columns,
             int64_t step, uint8_t* first) {
    const int64_t channels = header.channels();
    const bool color = header.color == kRgb || header.color == kRgbAlpha;
    for (int64_t i = 0; i < columns; ++i) {
        uint8_t* rgb = first + i * step * 3;
        if (header.color == kIndexed) {
            std::copy_n(palette[sample(row, i, header.depth)].data(), 3, rgb);
        } else if (color) {
            for (int64_t c = 0; c < 3; ++c) rgb[c] = sample(row, i * channels + c, header.depth);
        } else {
            std::fill_n(rgb, 3, gray_sample(row, i * channels, header));
        }
    }
}

// Decodes rows that are at least as long as those of the image, in their own memory.
Image decode_in_place(std::vector<uint8_t> rows, const Header& header, const std::string& name) {
    const int64_t stride = header.channels() * header.depth / 8;
    const int64_t bytes = header.row_bytes(header.width);
    std::vector<uint8_t> previous(static_cast<size_t>(bytes));
    for (int64_t y = 0; y < header.height; ++y) {
        uint8_t* row = rows.data() + y * (1 + bytes);
        unfilter(row[0], row + 1, previous.data(), bytes, stride, name);
        std::copy_n(row + 1, bytes, previous.begin());
        put_row(previous.data(), header, {}, header.width, 1, rows.data() + y * header.width * 3);
    }
    Image image;
    image.width = header.width;
    image.height = header.height;
    rows.resize(static_cast<size_t>(header.width * header.height * 3));
    image.rgb = std::move(rows);
    return image;
}

Image decode_rows(std::vector<uint8_t> rows, const Header& header, const Palette& palette,
                  const std::string& name) {
    if (header.decodes_in_place()) return decode_in_place(std::move(rows), header, name);
    Image image(header.width, header.height);
    const int64_t stride = std::max<int64_t>(1, header.channels() * header.depth / 8);
    const std::vector<uint8_t> zeros(static_cast<size_t>(header.row_bytes(header.width)));
    uint8_t* row = rows.data();
    for (const Pass& pass : passes(header)) {
        const int64_t bytes = header.row_bytes(pass.columns(header));
        const uint8_t* previous = zeros.data();
        for (int64_t j = 0; j < pass.rows(header); ++j) {
            unfilter(row[0], row + 1, previous, bytes, stride, name);
            put_row(row + 1, header, palette, pass.columns(header), pass.dx,
                    image.at(pass.x0, pass.y0 + j * pass.dy));
            previous = row + 1;
            row += 1 + bytes;
        }
    }
    return image;
}

// The content of a file's chunks.
struct Contents {
    Header header;
    Palette palette{};
    std::vector<uint8_t> stream;
    PngTexts texts;
    std::optional<int> exif;  // the orientation in an eXIf chunk
};

Contents read_chunks(Bytes bytes, const std::string& name) {
    ByteReader reader(bytes, name);
    reader.seek(kSignatureBytes);
    Contents png;
    // Accepts a file that ends after its last pixel, without IEND.
    while (reader.left() > 0 || png.stream.empty()) {
        const int64_t length = reader.u32_be();
        const int64_t start = reader.position();
        const uint32_t type = reader.u32_be();
        const Bytes content = reader.take(length);
        if (type == tag("IEND")) break;
        const uint32_t checksum = reader.u32_be();
        if (type == tag("eXIf")) png.exif = exif_orientation(content);
        if (type == tag("tEXt")) read_png_text(PngText::Plain, content, png.texts);
        if (type == tag("zTXt")) read_png_text(PngText::Packed, content, png.texts);
        if (type == tag("iTXt")) read_png_text(PngText::International, content, png.texts);
        if (type != tag("IHDR") && type != tag("PLTE") && type != tag("IDAT")) continue;
        VILA_CHECK_EQ(checksum,
                      crc32(bytes.subspan(static_cast<size_t>(start), 4 + content.size())), name,
                      ": the PNG file is damaged: checksum of the chunk at byte ", start - 4);
        VILA_CHECK((type == tag("IHDR")) == (png.header.width == 0), name,
                   ": the PNG file is damaged: its header must come first, and once");
        if (type == tag("IHDR")) {
            png.header = read_header(content, name);
            check_image_size(stored_size(png.header), static_cast<int64_t>(bytes.size()), name);
        }
        if (type == tag("PLTE"))
            std::memcpy(png.palette.data(), content.data(),
                        std::min(content.size(), sizeof(Palette)));
        if (type == tag("IDAT"))
            png.stream.insert(png.stream.end(), content.begin(), content.end());
    }
    VILA_CHECK(!png.stream.empty(), name, ": the PNG file is damaged: it holds no pixels");
    return png;
}

}  // namespace

StoredSize size_of_png(Bytes start, const std::string& name) {
    ByteReader reader(start, name);
    reader.seek(kSignatureBytes + 4);  // after the length of the chunk
    VILA_CHECK(reader.u32_be() == tag("IHDR"), name,
               ": the PNG file is damaged: its header must come first, and once");
    const int64_t length = 13;
    return stored_size(read_header(reader.take(length), name));
}

Decoded decode_png(Bytes bytes, const std::string& name) {
    Contents png = read_chunks(bytes, name);
    std::vector<uint8_t> rows = inflate(png.stream, png.header, name);
    png.stream = {};
    return {decode_rows(std::move(rows), png.header, png.palette, name),
            {.exif = png.exif ? png.exif : png.texts.exif, .xmp = png.texts.xmp}};
}

}  // namespace vila::data
