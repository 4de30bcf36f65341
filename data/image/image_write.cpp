#include "data/image/image_write.h"

#include <stb_image_write.h>

#include "data/image/base64.h"
#include "data/image/image_formats.h"
#include "tensor/check.h"
#include "tensor/file.h"

namespace vila::data {

namespace {

void append(void* bytes, void* data, int count) {
    const auto* begin = static_cast<const uint8_t*>(data);
    auto& all = *static_cast<std::vector<uint8_t>*>(bytes);
    all.insert(all.end(), begin, begin + count);
}

}  // namespace

std::vector<uint8_t> encode_png(const Image& image) {
    // Refuses to write an image that decode_image would refuse to read.
    check_image_size({image.width, image.height, 24}, kMaxImageFileBytes, "image to be written");
    std::vector<uint8_t> bytes;
    const int done = stbi_write_png_to_func(append, &bytes, static_cast<int>(image.width),
                                            static_cast<int>(image.height), 3, image.rgb.data(),
                                            static_cast<int>(image.width * 3));
    VILA_CHECK(done != 0, "an image of ", image.width, " x ", image.height,
               " pixels cannot be written: out of memory");
    return bytes;
}

std::vector<uint8_t> encode_jpeg(const Image& image, int quality) {
    VILA_CHECK(1 <= quality && quality <= 100, "JPEG quality ", quality, ": expected 1 to 100");
    check_image_size({image.width, image.height, 24}, kMaxImageFileBytes, "image to be written");
    std::vector<uint8_t> bytes;
    const int done =
        stbi_write_jpg_to_func(append, &bytes, static_cast<int>(image.width),
                               static_cast<int>(image.height), 3, image.rgb.data(), quality);
    VILA_CHECK(done != 0, "an image of ", image.width, " x ", image.height,
               " pixels cannot be written: out of memory");
    return bytes;
}

void write_png(const std::filesystem::path& path, const Image& image) {
    const std::vector<uint8_t> bytes = encode_png(image);
    write_file_atomic(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

std::string png_data_uri(const Image& image) {
    return "data:image/png;base64," + base64_encode(encode_png(image));
}

}  // namespace vila::data
