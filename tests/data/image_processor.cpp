// Compares preprocessing with digests of the pixel values of transformers' PIL-backed processors
// (goldens/images/processor.json), and tests reading and writing of preprocessor_config.json.

#include "data/image/image_processor.h"

#include <nlohmann/json.hpp>

#include "tensor/check.h"
#include "tensor/cpu/cpu_device.h"
#include "tests/support/image_goldens.h"
#include "tests/support/text_helpers.h"

namespace vila::data {
namespace {

using Json = nlohmann::json;

Json goldens() {
    std::ifstream file(image_goldens() / "processor.json");
    return Json::parse(file);
}

ImageProcessor processor_of(const Json& config, ImageMode mode) {
    return {parse_image_processor_config(config.dump(), "golden"), mode};
}

std::string error_of(const std::string& json) {
    try {
        const ImageProcessor processor(parse_image_processor_config(json, "a/file.json"),
                                       ImageMode::Crop);
    } catch (const Error& error) {
        return error.what();
    }
    return "no error";
}

TEST(DataImageProcessor, EqualsTransformersBitForBit) {
    const auto device = make_cpu_device(1);
    const Json golden = goldens();
    EXPECT_GE(golden["cases"].size(), 150U);
    for (const Json& item : golden["cases"]) {
        SCOPED_TRACE(item.dump());
        const ImageProcessor processor =
            processor_of(golden["processors"][item["processor"].get<std::string>()],
                         image_mode_from_name(item["mode"]));
        const Image image = scene(item["width"], item["height"], 13);
        const Tensor pixels = processor.to_pixels(image, *device);
        ASSERT_EQ(pixels.shape(), (Shape{3, item["size"], item["size"]}));
        EXPECT_EQ(digest(pixels.raw(), static_cast<size_t>(pixels.bytes())),
                  std::stoull(item["digest"].get<std::string>(), nullptr, 16));
    }
}

// Values computed by hand, because digests alone cannot be checked by reading.
TEST(DataImageProcessor, NormalizesBytes) {
    const auto device = make_cpu_device(1);
    Image image(2, 2);
    const uint8_t bytes[] = {0, 0, 0, 255, 255, 255, 10, 20, 30, 200, 100, 50};
    std::copy_n(bytes, 12, image.rgb.begin());
    const ImageProcessor processor(
        ImageProcessorConfig::for_tower(2, {0.25, 0.5, 0.0}, {0.5, 0.25, 1.0}, false),
        ImageMode::Crop);
    const std::vector<float> values = processor.to_pixels(image, *device).to_vector<float>();
    const float expected[] = {-0.5F,
                              1.5F,
                              (10 / 255.0F - 0.25F) * 2,
                              (200 / 255.0F - 0.25F) * 2,
                              -2.0F,
                              2.0F,
                              (20 / 255.0F - 0.5F) * 4,
                              (100 / 255.0F - 0.5F) * 4,
                              0.0F,
                              1.0F,
                              30 / 255.0F,
                              50 / 255.0F};
    for (size_t i = 0; i < 12; ++i) EXPECT_NEAR(values[i], expected[i], 1e-6) << i;
}

TEST(DataImageProcessor, ModesAndFill) {
    const ImageProcessorConfig clip;
    const ImageProcessor pad(clip, ImageMode::Pad);
    EXPECT_EQ(pad.fill(), (Color{122, 116, 104}));
    EXPECT_EQ(pad.size(), 224);
    const Image image = scene(224, 112, 3);
    const Image padded = pad.to_input(image);
    EXPECT_EQ(padded, pad_to_square(image, {122, 116, 104}));
    EXPECT_EQ(ImageProcessor(clip, ImageMode::Crop).to_input(image),
              crop(resize_bicubic(image, 448, 224), {112, 0, 224, 224}));
    EXPECT_EQ(ImageProcessor(clip, ImageMode::Resize).to_input(image),
              resize_bicubic(image, 224, 224));
    const auto siglip = ImageProcessorConfig::for_tower(14, {0.5, 0.5, 0.5}, {0.5, 0.5, 0.5}, true);
    EXPECT_EQ(ImageProcessor(siglip, ImageMode::Pad).fill(), (Color{127, 127, 127}));
    EXPECT_EQ(ImageProcessor(siglip, ImageMode::Crop).to_input(image),
              resize_bicubic(image, 14, 14));
    EXPECT_EQ(image_mode_from_name("crop"), ImageMode::Crop);
    EXPECT_EQ(image_mode_from_name("pad"), ImageMode::Pad);
    EXPECT_EQ(image_mode_from_name("resize"), ImageMode::Resize);
    EXPECT_EQ(image_mode_names().size(), 3U);
    EXPECT_THROW(image_mode_from_name("square"), Error);
}

TEST(DataImageProcessor, FillsAPlaceInABatch) {
    const auto device = make_cpu_device(1);
    const ImageProcessor processor(
        ImageProcessorConfig::for_tower(7, {0.5, 0.5, 0.5}, {0.5, 0.5, 0.5}, true),
        ImageMode::Crop);
    std::vector<float> batch(2 * 3 * 7 * 7, -9.0F);
    const std::span<float> second = std::span(batch).subspan(3 * 7 * 7);
    processor.to_pixels(scene(9, 9, 1), second);
    EXPECT_EQ(batch[3 * 7 * 7 - 1], -9.0F);
    EXPECT_EQ(std::vector<float>(second.begin(), second.end()),
              processor.to_pixels(scene(9, 9, 1), *device).to_vector<float>());
    EXPECT_THROW(processor.to_pixels(scene(9, 9, 1), std::span(batch)), Error);
    EXPECT_THROW(processor.to_input(Image()), Error);
}

TEST(DataImageProcessor, WritesConfigForTransformers) {
    const ScratchFolder scratch;
    const auto path = scratch.path() / "preprocessor_config.json";
    for (const bool siglip : {false, true}) {
        const auto config =
            ImageProcessorConfig::for_tower(48, {0.1, 0.25, 1.0 / 3}, {0.2, 0.3, 2.0 / 3}, siglip);
        write_file_atomic(path, image_processor_config_text(config));
        EXPECT_EQ(read_bytes(path), read_bytes(image_goldens() / (siglip ? "written_siglip.json"
                                                                         : "written_clip.json")));
        const ImageProcessorConfig read = read_image_processor_config(scratch.path());
        EXPECT_EQ(read.type, config.type);
        EXPECT_EQ(read.mean, config.mean);
        EXPECT_EQ(read.deviation, config.deviation);
        EXPECT_EQ(read.shortest_edge, config.shortest_edge);
        EXPECT_EQ(ImageProcessor(read, ImageMode::Crop).size(), 48);
    }
}

// transformers 5 writes the image processor into processor_config.json, and reads that one first.
TEST(DataImageProcessor, ReadsTheSharedFileOfTransformers5) {
    const ScratchFolder scratch;
    const auto write = [&](const char* name, const char* text) {
        write_file_atomic(scratch.path() / name, text);
    };
    const auto refusal = [&] {
        return message_of([&] { read_image_processor_config(scratch.path()); });
    };
    EXPECT_FALSE(has_image_processor_config(scratch.path()));
    EXPECT_NE(refusal().find("holds neither preprocessor_config.json nor a processor_config.json "
                             "with the field image_processor"),
              std::string::npos);
    write("processor_config.json", R"({"processor_class": "LlavaProcessor", "patch_size": 16})");
    EXPECT_FALSE(has_image_processor_config(scratch.path()));
    write("preprocessor_config.json", R"({"size": {"shortest_edge": 30}, "crop_size": 30})");
    EXPECT_EQ(read_image_processor_config(scratch.path()).shortest_edge, 30);
    for (const std::string type : {"SiglipImageProcessor", "SiglipImageProcessorPil"}) {
        write("processor_config.json",
              str(R"({"image_processor": {"image_processor_type": ")", type,
                  R"(", "size": {"height": 20, "width": 20}, "resample": 2}})")
                  .c_str());
        EXPECT_TRUE(has_image_processor_config(scratch.path()));
        const ImageProcessorConfig config = read_image_processor_config(scratch.path());
        EXPECT_EQ(config.type, "SiglipImageProcessor");
        EXPECT_EQ(config.resize_width, 20);
        EXPECT_EQ(config.filter, Filter::Bilinear);
    }
    write("processor_config.json", R"({"image_processor": {"size": {"longest_edge": 20}}})");
    EXPECT_NE(refusal().find("processor_config.json: image_processor: field size: expected"),
              std::string::npos);
}

TEST(DataImageProcessor, RefusesUnsupportedConfigs) {
    const std::pair<const char*, const char*> cases[] = {
        {"[1]", "a/file.json: not a JSON object"},
        {"{\"size\": ", "a/file.json: not valid JSON: expected a value, at line 1"},
        {R"({"resample": 1})",
         "a/file.json: field resample: expected 2 (bilinear) or 3 (bicubic), got 1"},
        {R"({"resample": "3"})", "field resample"},
        {R"({"image_processor_type": "ViTImageProcessor"})",
         "field image_processor_type: expected CLIPImageProcessor or SiglipImageProcessor, got "
         "\"ViTImageProcessor\""},
        {R"({"size": {"longest_edge": 9}})", "field size: expected a number, {shortest_edge}"},
        {R"({"size": {"shortest_edge": 0}})", "field size: expected sides of 1 to 16384 pixels"},
        {R"({"size": -3})", "field size: expected sides"},
        {R"({"size": 1e30})", "field size: expected sides"},
        {R"({"crop_size": {"height": 3, "width": 4}})", "field crop_size: expected a square"},
        {R"({"image_mean": [0, 1]})",
         "field image_mean: expected a list of 3 finite numbers, got [0,1]"},
        {R"({"image_mean": [0, NaN, 1]})", "field image_mean: expected a list of 3 finite numbers"},
        {R"({"image_mean": [0, 1, "2"]})", "field image_mean: expected a list of 3 finite numbers"},
        {R"({"image_std": [1, 0, 1]})", "field image_std: expected numbers above 0"},
        {R"({"image_std": [1, 1e-60, 1]})", "field image_std: expected numbers above 0"},
        {R"({"image_std": [1, Infinity, 1]})", "field image_std: expected a list of 3 finite"},
        {R"({"rescale_factor": NaN})", "field rescale_factor: expected a finite number, got NaN"},
        {R"({"rescale_factor": 1e300})", "field rescale_factor: expected a finite number"},
        {R"({"rescale_factor": 0})", "field rescale_factor: expected a positive number, got 0"},
        {R"({"rescale_factor": -1})", "field rescale_factor: expected a positive number, got -1"},
        {R"({"do_resize": 1})", "field do_resize: expected true or false, got 1"},
        {R"({"do_pad": true})", "field do_pad: expected false"},
        {R"({"do_center_crop": false})", "size must be height and width"},
        {R"({"do_center_crop": false, "size": {"height": 3, "width": 4}})", "must be square"},
    };
    for (const auto& [json, part] : cases) {
        const std::string message = error_of(json);
        EXPECT_NE(message.find(part), std::string::npos) << json << "\n" << message;
        EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    }
}

}  // namespace
}  // namespace vila::data
