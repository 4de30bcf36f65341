#pragma once

// Shared by image.cpp and the decoders (jpeg, png, gif, bmp, webp); not for other callers.

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "data/image/image.h"
#include "tensor/check.h"

namespace vila::data {

using Bytes = std::span<const uint8_t>;

// The orientations in the metadata of an image; empty where the metadata have none.
struct Orientation {
    std::optional<int> exif, xmp;

    // Returns the one that counts, 1 to 8.
    int value() const {
        const int stated = exif ? *exif : xmp.value_or(1);
        return stated >= 1 && stated <= 8 ? stated : 1;
    }
};

// An image as stored, and its orientation.
struct Decoded {
    Image image;
    Orientation orientation;
};

// The size of an image as stored. `bits` is the least number of bits that the format spends on a
// pixel before it compresses blank areas further. `memory` is how many bytes its decoder allocates
// at the same time, pixels included; `copies` is how often it copies the whole file.
struct StoredSize {
    int64_t width = 0, height = 0;
    int64_t bits = 0;
    int64_t memory = 0;
    int64_t copies = 0;
};

Decoded decode_jpeg(Bytes bytes, const std::string& name);
Decoded decode_png(Bytes bytes, const std::string& name);
Decoded decode_gif(Bytes bytes, const std::string& name);
Decoded decode_bmp(Bytes bytes, const std::string& name);
Decoded decode_webp(Bytes bytes, const std::string& name);

// Read the size of an image from the beginning of its file; read_image_size() checks it.
StoredSize size_of_jpeg(Bytes start, const std::string& name);
StoredSize size_of_png(Bytes start, const std::string& name);
StoredSize size_of_gif(Bytes start, const std::string& name);
StoredSize size_of_bmp(Bytes start, const std::string& name);
StoredSize size_of_webp(Bytes start, const std::string& name);

// StoredSize::bits for formats whose header does not give it: 8 for a JPEG, whose blank blocks of
// 64 pixels take one bit or more; 3 for a GIF, whose longest code stands for 4,095 pixels; 0 for
// WebP, which may take no bits for blank pixels.
constexpr int64_t kJpegBits = 8, kGifBits = 3, kWebpBits = 0;

// Throws unless an image of this size, stored in `file_bytes`, is within the limits of image.h.
void check_image_size(const StoredSize& size, int64_t file_bytes, const std::string& name);

// Reads the orientation from the TIFF structure of an EXIF block. Returns nothing if it is absent
// or damaged: damaged metadata does not make the image unusable.
std::optional<int> exif_orientation(Bytes tiff);
// Reads the orientation from an XMP packet.
std::optional<int> xmp_orientation(Bytes xmp);
// Turns an image stored with `orientation` upright. Mirrors it in place; throws if the image that
// is turned by 90 degrees and the one as stored, beside a file of `file_bytes`, take too much
// memory.
Image apply_orientation(Image image, int orientation, int64_t file_bytes, const std::string& name);

// An image that is filled with rows as they are stored, and is upright.
class UprightImage {
  public:
    UprightImage(int64_t stored_width, int64_t stored_height, int orientation);
    // Puts `count` stored rows, from row `first` on, of (stored_width, 3) bytes each.
    void put_rows(int64_t first, int64_t count, const uint8_t* rows);
    Image take() { return std::move(image_); }

  private:
    int64_t stored_width_, stored_height_;
    bool transpose_, mirror_x_, mirror_y_;
    Image image_;
};

// Throws if decoding needs more than kMaxDecodingBytes.
void check_decoding_memory(int64_t bytes, const StoredSize& size, const std::string& name);

// Reads integers from bytes in order. Throws, naming the file, on reading past the end.
class ByteReader {
  public:
    ByteReader(Bytes bytes, const std::string& name) : bytes_(bytes), name_(name) {}

    int64_t position() const { return position_; }
    int64_t left() const { return static_cast<int64_t>(bytes_.size()) - position_; }
    void seek(int64_t position) {
        VILA_CHECK(position >= 0 && position <= static_cast<int64_t>(bytes_.size()), name_,
                   ": the image file is cut short or damaged: it points to byte ", position, " of ",
                   bytes_.size());
        position_ = position;
    }
    Bytes take(int64_t count) {
        VILA_CHECK(count >= 0 && count <= left(), name_, ": the image file is cut short: byte ",
                   position_, " needs ", count, " more, ", left(), " are left");
        const Bytes part =
            bytes_.subspan(static_cast<size_t>(position_), static_cast<size_t>(count));
        position_ += count;
        return part;
    }
    uint8_t u8() { return take(1)[0]; }
    uint16_t u16_le() {
        const Bytes b = take(2);
        return static_cast<uint16_t>(b[0] | b[1] << 8);
    }
    uint32_t u32_le() {
        const uint32_t low = u16_le();
        return low | static_cast<uint32_t>(u16_le()) << 16;
    }
    uint16_t u16_be() {
        const Bytes b = take(2);
        return static_cast<uint16_t>(b[0] << 8 | b[1]);
    }
    uint32_t u32_be() {
        const uint32_t high = u16_be();
        return high << 16 | u16_be();
    }

  private:
    Bytes bytes_;
    const std::string& name_;
    int64_t position_ = 0;
};

// A palette of 256 colors; entries that the file does not define are black.
using Palette = std::array<std::array<uint8_t, 3>, 256>;

}  // namespace vila::data
