// Writes PNG and reads it back; base64 with the examples of RFC 4648.

#include "data/image/image_write.h"

#include "data/image/base64.h"
#include "tensor/check.h"
#include "tests/support/image_goldens.h"

namespace vila::data {
namespace {

std::vector<uint8_t> bytes_of(const std::string& text) {
    return {text.begin(), text.end()};
}

TEST(DataImageWrite, PngRoundTripIsExact) {
    const std::pair<int64_t, int64_t> sizes[] = {{1, 1}, {1, 37}, {37, 1}, {31, 17}, {336, 336}};
    for (const auto& [width, height] : sizes) {
        const Image image = scene(width, height, 5);
        EXPECT_EQ(decode_image(encode_png(image), "png"), image) << width << " x " << height;
    }
    EXPECT_THROW(encode_png(Image()), Error);
    EXPECT_THROW(encode_png(Image(16385, 1)), Error);
}

TEST(DataImageWrite, JpegRoundTripIsClose) {
    const Image image = scene(64, 47, 5);
    double errors[2] = {};
    for (const int quality : {30, 100}) {
        const Image back = decode_image(encode_jpeg(image, quality), "jpeg");
        ASSERT_EQ(back.rgb.size(), image.rgb.size());
        double& sum = errors[quality == 100];
        for (size_t i = 0; i < image.rgb.size(); ++i) sum += std::abs(back.rgb[i] - image.rgb[i]);
        sum /= static_cast<double>(image.rgb.size());
    }
    EXPECT_LT(errors[1], 1.5);
    EXPECT_LT(errors[1], errors[0]);
    EXPECT_LT(errors[0], 40.0);
    EXPECT_THROW(encode_jpeg(image, 0), Error);
    EXPECT_THROW(encode_jpeg(Image(), 90), Error);
}

TEST(DataImageWrite, WritesAFileWholeOrNotAtAll) {
    const auto folder = std::filesystem::temp_directory_path() / "vila_image_write";
    std::filesystem::create_directories(folder);
    const Image image = scene(31, 17, 5);
    write_png(folder / "a.png", image);
    EXPECT_EQ(load_image(folder / "a.png"), image);
    EXPECT_THROW(write_png(folder / "no such folder" / "a.png", image), Error);
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1);
    std::filesystem::remove_all(folder);
}

TEST(DataImageWrite, Base64) {
    const std::pair<const char*, const char*> cases[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
    for (const auto& [plain, encoded] : cases) {
        EXPECT_EQ(base64_encode(bytes_of(plain)), encoded);
        EXPECT_EQ(base64_decode(encoded), bytes_of(plain));
    }
    std::vector<uint8_t> every(256);
    for (size_t i = 0; i < 256; ++i) every[i] = static_cast<uint8_t>(i);
    EXPECT_EQ(base64_decode(base64_encode(every)), every);
    EXPECT_EQ(base64_decode("Zm 9v\nYm\tFy\r\n"), bytes_of("foobar"));
    for (const char* wrong :
         {"Z", "Zg", "Zg=", "Zg=a", "=Zg=", "Z===", "Zm9v!m9v", "Zg==Zg==", "Zh==", "Zm9="})
        EXPECT_THROW(base64_decode(wrong), Error) << wrong;
}

TEST(DataImageWrite, DataUriHoldsThePng) {
    const Image image = scene(5, 3, 5);
    const std::string uri = png_data_uri(image), prefix = "data:image/png;base64,";
    ASSERT_EQ(uri.rfind(prefix, 0), 0U);
    EXPECT_EQ(decode_image(base64_decode(uri.substr(prefix.size())), "uri"), image);
}

}  // namespace
}  // namespace vila::data
