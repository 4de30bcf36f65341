// Fuzz target: reads any bytes as an image file. They are refused with one line, or give a complete
// picture.

#include "data/image/image.h"

#include "tests/fuzz/fuzz_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    vila::fuzz::expect_read_or_refused("a/file", [&] {
        const vila::data::Image image = vila::data::decode_image({data, size}, "a/file");
        if (image.rgb.size() != static_cast<size_t>(image.width * image.height * 3)) std::abort();
    });
    return 0;
}
