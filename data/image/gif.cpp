// Decodes the first image of a GIF file (87a, 89a), placed on its screen.
//
// A file holds the screen size, a global palette, then blocks: extensions ('!') and images (',').
// An image has a place on the screen, perhaps a palette of its own, and LZW codes in sub-blocks of
// up to 255 bytes. As in Pillow, the screen grows to hold the image, the rest of the screen shows
// the palette entry of the transparent color (else entry 0), and without a palette an index is a
// gray level.

#include <algorithm>

#include "data/image/image_formats.h"

namespace vila::data {

namespace {

constexpr uint8_t kPaletteFlag = 0x80, kInterlaceFlag = 0x40, kTransparentFlag = 0x01;

Palette read_palette(ByteReader& reader, uint8_t flags) {
    Palette palette{};
    for (int64_t i = 0; i < int64_t{2} << (flags & 7); ++i) {
        const Bytes color = reader.take(3);
        std::copy(color.begin(), color.end(), palette[i].begin());
    }
    return palette;
}

// Reads a run of sub-blocks and joins their bytes.
std::vector<uint8_t> read_blocks(ByteReader& reader) {
    std::vector<uint8_t> content;
    while (const uint8_t length = reader.u8()) {
        const Bytes block = reader.take(length);
        content.insert(content.end(), block.begin(), block.end());
    }
    return content;
}

// Reads codes of a growing number of bits, lowest bit first.
class CodeReader {
  public:
    explicit CodeReader(Bytes bytes) : bytes_(bytes) {}

    // Returns the next code, or -1 at the end.
    int next(int bits) {
        while (held_bits_ < bits) {
            if (position_ == bytes_.size()) return -1;
            held_ |= static_cast<uint32_t>(bytes_[position_++]) << held_bits_;
            held_bits_ += 8;
        }
        const int code = static_cast<int>(held_ & ((1U << bits) - 1));
        held_ >>= bits;
        held_bits_ -= bits;
        return code;
    }

  private:
    Bytes bytes_;
    size_t position_ = 0;
    uint32_t held_ = 0;
    int held_bits_ = 0;
};

// Decodes LZW: each code stands for a string of indices, an earlier string plus one more index.
// Returns at most `count` indices; fewer if the codes end early or are invalid.
std::vector<uint8_t> decode_lzw(Bytes bytes, int first_bits, size_t count) {
    constexpr int kMaxBits = 12, kMaxCodes = 1 << kMaxBits;
    std::array<uint16_t, kMaxCodes> prefix{};  // the earlier string
    std::array<uint8_t, kMaxCodes> last{};     // its last index
    std::array<uint8_t, kMaxCodes> first{};    // its first index
    std::array<uint16_t, kMaxCodes> length{};
    const int clear = 1 << first_bits, end = clear + 1;
    for (int code = 0; code < clear; ++code) {
        first[code] = last[code] = static_cast<uint8_t>(code);
        length[code] = 1;
    }
    std::vector<uint8_t> indices(count);
    size_t filled = 0;
    CodeReader reader(bytes);
    int bits = first_bits + 1, codes = end + 1, previous = -1;
    while (filled < count) {
        const int code = reader.next(bits);
        if (code < 0 || code == end) break;
        if (code == clear) {
            bits = first_bits + 1;
            codes = end + 1;
            previous = -1;
            continue;
        }
        // A valid code names a known string, or the one that is about to be made from the last one.
        if (code > codes || (code >= clear && previous < 0)) break;
        if (previous >= 0 && codes < kMaxCodes) {
            // The new string ends with the first index of the current one. If that is the new
            // string itself, it begins as the previous one does.
            prefix[codes] = static_cast<uint16_t>(previous);
            first[codes] = first[previous];
            last[codes] = code == codes ? first[previous] : first[code];
            length[codes] = static_cast<uint16_t>(length[previous] + 1);
            ++codes;
            if (codes == 1 << bits && bits < kMaxBits) ++bits;
        }
        const size_t size = length[code];
        int part = code;
        for (size_t i = size; i-- > 0; part = prefix[part])
            if (filled + i < count) indices[filled + i] = last[part];
        filled = std::min(count, filled + size);
        previous = code;
    }
    indices.resize(filled);
    return indices;
}

// Returns the position of the row that is stored as number `row`. Interlaced images store every
// eighth row first, then the rows between, in four passes.
int64_t shown_row(int64_t row, int64_t height, bool interlaced) {
    if (!interlaced) return row;
    constexpr int64_t kStart[] = {0, 4, 2, 1}, kStep[] = {8, 8, 4, 2};
    for (int pass = 0; pass < 4; ++pass) {
        const int64_t rows =
            std::max<int64_t>(0, (height - kStart[pass] + kStep[pass] - 1) / kStep[pass]);
        if (row < rows) return kStart[pass] + row * kStep[pass];
        row -= rows;
    }
    return 0;
}

// The place and the palette of the first image of a file.
struct Frame {
    int64_t screen_width = 0, screen_height = 0;
    int64_t x = 0, y = 0, width = 0, height = 0;
    bool interlaced = false;
    uint8_t outside = 0;  // palette index of the screen around the image
    Palette palette{};
};

// In memory are the codes, an index for each pixel, and the pixels. The image may be as large as
// the screen.
StoredSize stored_size(int64_t width, int64_t height) {
    return {width, height, kGifBits, width * height * 4, 1};
}

Image draw(const Frame& frame, const std::vector<uint8_t>& indices) {
    Image image(frame.screen_width, frame.screen_height);
    for (int64_t i = 0; i < image.width * image.height; ++i)
        std::copy_n(frame.palette[frame.outside].data(), 3, image.rgb.data() + i * 3);
    for (int64_t row = 0; row < frame.height; ++row) {
        const int64_t y = frame.y + shown_row(row, frame.height, frame.interlaced);
        for (int64_t x = 0; x < frame.width; ++x)
            std::copy_n(frame.palette[indices[row * frame.width + x]].data(), 3,
                        image.at(frame.x + x, y));
    }
    return image;
}

Image read_image(ByteReader& reader, Frame frame, int64_t file_bytes, const std::string& name) {
    frame.x = reader.u16_le();
    frame.y = reader.u16_le();
    frame.width = reader.u16_le();
    frame.height = reader.u16_le();
    frame.screen_width = std::max(frame.screen_width, frame.x + frame.width);
    frame.screen_height = std::max(frame.screen_height, frame.y + frame.height);
    check_image_size(stored_size(frame.screen_width, frame.screen_height), file_bytes, name);
    const uint8_t flags = reader.u8();
    frame.interlaced = (flags & kInterlaceFlag) != 0;
    if ((flags & kPaletteFlag) != 0) frame.palette = read_palette(reader, flags);
    const int first_bits = reader.u8();
    VILA_CHECK(first_bits >= 1 && first_bits <= 8, name, ": the GIF file is damaged: codes of ",
               first_bits, " bits");
    const std::vector<uint8_t> codes = read_blocks(reader);
    const size_t count = static_cast<size_t>(frame.width * frame.height);
    const std::vector<uint8_t> indices = decode_lzw(codes, first_bits, count);
    VILA_CHECK_EQ(indices.size(), count, name, ": the GIF file is damaged: pixels");
    return draw(frame, indices);
}

}  // namespace

StoredSize size_of_gif(Bytes start, const std::string& name) {
    ByteReader reader(start, name);
    reader.seek(6);  // after the signature
    const int64_t width = reader.u16_le();
    const int64_t height = reader.u16_le();
    // A screen without pixels grows to hold the image.
    return stored_size(std::max<int64_t>(width, 1), std::max<int64_t>(height, 1));
}

Decoded decode_gif(Bytes bytes, const std::string& name) {
    constexpr int64_t kSignatureBytes = 6;
    constexpr uint8_t kExtension = '!', kImageBlock = ',', kTrailer = ';', kGraphicControl = 0xf9;
    ByteReader reader(bytes, name);
    reader.seek(kSignatureBytes);
    Frame frame;
    frame.screen_width = reader.u16_le();
    frame.screen_height = reader.u16_le();
    const uint8_t flags = reader.u8();
    reader.take(2);  // background color, which no decoder shows, and aspect ratio
    for (int i = 0; i < 256; ++i) frame.palette[i].fill(static_cast<uint8_t>(i));
    if ((flags & kPaletteFlag) != 0) frame.palette = read_palette(reader, flags);
    for (;;) {
        const uint8_t block = reader.u8();
        VILA_CHECK(block != kTrailer, name, ": the GIF file holds no image");
        if (block == kExtension) {
            const uint8_t label = reader.u8();
            const std::vector<uint8_t> content = read_blocks(reader);
            if (label == kGraphicControl && content.size() >= 4 && (content[0] & kTransparentFlag))
                frame.outside = content[3];
        } else if (block == kImageBlock) {
            return {read_image(reader, frame, static_cast<int64_t>(bytes.size()), name), {}};
        }
    }
}

}  // namespace vila::data
