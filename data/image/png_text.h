#pragma once

// The texts of a PNG file that hold metadata: an XMP packet, or EXIF data as ImageMagick writes it.

#include <optional>

#include "data/image/image_formats.h"

namespace vila::data {

// The chunks that hold a name and a text.
enum class PngText {
    Plain,          // tEXt
    Packed,         // zTXt: compressed by zlib
    International,  // iTXt: with a language, and compressed if it says so
};

// The orientations that texts state.
struct PngTexts {
    std::optional<int> exif, xmp;
};

// Reads the content of a text chunk into `texts`. Ignores texts that are not metadata, and damaged
// ones.
void read_png_text(PngText kind, Bytes content, PngTexts& texts);

}  // namespace vila::data
