// Decodes BMP without run-length coding: 1, 4 and 8 bits with a palette; 16, 24 and 32 bits with or
// without masks; rows from the bottom or from the top. Rows are padded to four bytes.

#include <algorithm>
#include <bit>

#include "data/image/image_formats.h"

namespace vila::data {

namespace {

constexpr uint32_t kPlain = 0, kBitFields = 3;  // compressions
constexpr int64_t kFileHeaderBytes = 14;
constexpr uint32_t kOldHeaderBytes = 12;

struct Header {
    int64_t pixels_at = 0;
    uint32_t bytes = 0;  // size of the second header
    int64_t width = 0, height = 0;
    bool top_down = false;
    int bits = 0;
    uint32_t compression = kPlain;
    int64_t colors = 0;
    std::array<uint32_t, 3> masks{};  // red, green, blue

    int64_t palette_entry_bytes() const { return bytes == kOldHeaderBytes ? 3 : 4; }
    int64_t row_bytes() const { return (width * bits + 31) / 32 * 4; }
};

void read_old_sizes(ByteReader& reader, Header& header) {
    header.width = reader.u16_le();
    header.height = reader.u16_le();
    reader.take(2);  // planes
    header.bits = reader.u16_le();
}

void read_sizes(ByteReader& reader, Header& header) {
    header.width = static_cast<int32_t>(reader.u32_le());
    header.height = static_cast<int32_t>(reader.u32_le());
    header.top_down = header.height < 0;
    if (header.top_down) header.height = -header.height;
    reader.take(2);  // planes
    header.bits = reader.u16_le();
    header.compression = reader.u32_le();
    reader.take(12);  // data size, resolution
    header.colors = reader.u32_le();
    reader.take(4);  // number of important colors
    if (header.compression == kBitFields)
        for (uint32_t& mask : header.masks) mask = reader.u32_le();
}

// The masks of an image that stores none.
std::array<uint32_t, 3> usual_masks(int bits) {
    if (bits == 16) return {0x7c00, 0x03e0, 0x001f};
    return {0xff0000, 0x00ff00, 0x0000ff};
}

Header read_header(ByteReader& reader, const std::string& name) {
    Header header;
    reader.seek(10);
    header.pixels_at = reader.u32_le();
    header.bytes = reader.u32_le();
    VILA_CHECK(header.bytes == kOldHeaderBytes || (header.bytes >= 40 && header.bytes <= 124), name,
               ": the BMP file is damaged: a header of ", header.bytes, " bytes");
    if (header.bytes == kOldHeaderBytes) {
        read_old_sizes(reader, header);
    } else {
        read_sizes(reader, header);
    }
    const int bits = header.bits;
    VILA_CHECK(header.compression == kPlain || (header.compression == kBitFields && bits >= 16),
               name, ": BMP compression ", header.compression, " at ", bits,
               " bits a pixel is not supported; save the image as PNG");
    VILA_CHECK(bits == 1 || bits == 4 || bits == 8 || bits == 16 || bits == 24 || bits == 32, name,
               ": the BMP file is damaged: ", bits, " bits a pixel");
    if (header.masks == std::array<uint32_t, 3>{}) header.masks = usual_masks(bits);
    for (const uint32_t mask : header.masks) {
        const uint32_t field = mask == 0 ? 0 : mask >> std::countr_zero(mask);
        VILA_CHECK(field != 0 && field <= 255 && std::has_single_bit(field + 1), name,
                   ": BMP color mask ", mask, " is not supported; save the image as PNG");
    }
    return header;
}

// The palette follows the header. The pixels follow the palette unless the file says otherwise.
Palette read_palette(ByteReader& reader, Header& header, const std::string& name) {
    Palette palette{};
    if (header.bits > 8) return palette;
    const int64_t colors = header.colors == 0 ? int64_t{1} << header.bits : header.colors;
    VILA_CHECK(colors <= 256, name, ": the BMP file is damaged: a palette of ", colors, " colors");
    reader.seek(kFileHeaderBytes + header.bytes);
    for (int64_t i = 0; i < colors; ++i) {
        const Bytes entry = reader.take(header.palette_entry_bytes());
        palette[i] = {entry[2], entry[1], entry[0]};
    }
    return palette;
}

// Extracts a masked channel of a pixel and stretches it to 8 bits.
uint8_t field(uint32_t pixel, uint32_t mask) {
    const int shift = std::countr_zero(mask);
    return static_cast<uint8_t>(((pixel & mask) >> shift) * 255 / (mask >> shift));
}

void put_row(Bytes row, const Header& header, const Palette& palette, int64_t y, Image& image) {
    const int64_t pixel_bytes = header.bits / 8;
    for (int64_t x = 0; x < image.width; ++x) {
        uint8_t* rgb = image.at(x, y);
        if (header.bits <= 8) {
            const int64_t bit = x * header.bits;
            const int64_t shift = 8 - header.bits - bit % 8;
            const int64_t index = (row[bit / 8] >> shift) & ((1 << header.bits) - 1);
            std::copy_n(palette[index].data(), 3, rgb);
        } else {
            uint32_t pixel = 0;
            for (int64_t i = 0; i < pixel_bytes; ++i)
                pixel |= static_cast<uint32_t>(row[x * pixel_bytes + i]) << (8 * i);
            for (int c = 0; c < 3; ++c) rgb[c] = field(pixel, header.masks[c]);
        }
    }
}

// The memory is that of the pixels.
StoredSize stored_size(const Header& header) {
    return {header.width, header.height, header.bits, header.width * header.height * 3};
}

}  // namespace

StoredSize size_of_bmp(Bytes start, const std::string& name) {
    ByteReader reader(start, name);
    const Header header = read_header(reader, name);
    return stored_size(header);
}

Decoded decode_bmp(Bytes bytes, const std::string& name) {
    ByteReader reader(bytes, name);
    Header header = read_header(reader, name);
    check_image_size(stored_size(header), static_cast<int64_t>(bytes.size()), name);
    const Palette palette = read_palette(reader, header, name);
    // Some writers give the end of the header as the offset of the pixels, although the palette
    // lies between.
    const bool palette_forgotten =
        header.bits <= 8 && header.pixels_at == kFileHeaderBytes + header.bytes;
    if (header.pixels_at != 0 && !palette_forgotten) reader.seek(header.pixels_at);
    Image image(header.width, header.height);
    for (int64_t row = 0; row < header.height; ++row)
        put_row(reader.take(header.row_bytes()), header, palette,
                header.top_down ? row : header.height - 1 - row, image);
    return {std::move(image), {}};
}

}  // namespace vila::data
