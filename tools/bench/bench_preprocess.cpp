#include "tools/bench/bench_preprocess.h"

#include <cstdio>
#include <cstring>

#include "data/image/image_write.h"
#include "tools/base/timing.h"

namespace vila::tools {

namespace {

// Gradients, checkered edges every eight pixels, and noise: neither trivial nor hopeless to
// compress.
data::Image synthetic_picture(int64_t width, int64_t height) {
    data::Image image(width, height);
    for (int64_t y = 0; y < height; ++y) {
        for (int64_t x = 0; x < width; ++x) {
            const int64_t noise = (x * 7919 + y * 104729) % 9973 % 23;
            uint8_t* pixel = image.at(x, y);
            pixel[0] = static_cast<uint8_t>(x * 230 / width + noise);
            pixel[1] = static_cast<uint8_t>((x / 8 + y / 8) % 5 == 0 ? 200 - noise : 60 + noise);
            pixel[2] = static_cast<uint8_t>(y * 230 / height + noise);
        }
    }
    return image;
}

}  // namespace

std::vector<EncodedPicture> default_pictures() {
    constexpr int kQuality = 90;
    return {{"synthetic, 640 x 480", data::encode_jpeg(synthetic_picture(640, 480), kQuality)}};
}

std::vector<Pipeline> default_pipelines() {
    const data::ImageProcessorConfig openai;
    const auto clip =
        data::ImageProcessorConfig::for_tower(336, openai.mean, openai.deviation, false);
    const auto siglip =
        data::ImageProcessorConfig::for_tower(384, {0.5, 0.5, 0.5}, {0.5, 0.5, 0.5}, true);
    return {{"clip-336 crop", clip, data::ImageMode::Crop},
            {"clip-336 pad", clip, data::ImageMode::Pad},
            {"siglip-384 resize", siglip, data::ImageMode::Resize}};
}

std::vector<PreprocessMeasurement> bench_preprocess(const std::vector<EncodedPicture>& pictures,
                                                    const std::vector<Pipeline>& pipelines,
                                                    int repetitions) {
    std::vector<PreprocessMeasurement> measurements;
    for (const Pipeline& pipeline : pipelines) {
        const data::ImageProcessor processor(pipeline.config, pipeline.mode);
        std::vector<float> pixels(static_cast<size_t>(3 * processor.size() * processor.size()));
        std::vector<float> copy(pixels.size());
        std::vector<double> all, decoding, copying, shares;
        for (int repetition = -1; repetition < repetitions; ++repetition) {
            double whole = 0.0, decode = 0.0, write = 0.0;
            for (const EncodedPicture& picture : pictures) {
                whole += thread_seconds_of([&] {
                    processor.to_pixels(data::decode_image(picture.bytes, picture.name), pixels);
                });
                decode +=
                    thread_seconds_of([&] { data::decode_image(picture.bytes, picture.name); });
                write += thread_seconds_of([&] {
                    std::memcpy(copy.data(), pixels.data(), pixels.size() * sizeof(float));
                });
            }
            if (repetition < 0) continue;  // warm-up
            const auto count = static_cast<double>(pictures.size());
            all.push_back(whole / count);
            decoding.push_back(decode / count);
            copying.push_back(write / count);
            shares.push_back((decode + write) / whole);
        }
        measurements.push_back({pipeline.name, static_cast<int64_t>(pictures.size()), median(all),
                                median(decoding), median(copying), median(shares)});
    }
    return measurements;
}

std::string preprocess_table(const std::vector<PreprocessMeasurement>& measurements) {
    std::string table =
        str("JPEG by ", data::jpeg_decoder_name(),
            "; one core, processor time; limit: the decoder plus a copy of the pixel values\n",
            "pipeline             images/s   ms/image   decoder ms   copy ms   share of limit\n");
    for (const PreprocessMeasurement& x : measurements) {
        char line[160];
        std::snprintf(line, sizeof(line), "%-18s %10.1f %10.3f %12.3f %9.3f %15.0f%%\n",
                      x.pipeline.c_str(), 1.0 / x.seconds, x.seconds * 1e3, x.decode_seconds * 1e3,
                      x.copy_seconds * 1e3, x.limit_share * 100.0);
        table += line;
    }
    return table;
}

Json preprocess_json(const std::vector<PreprocessMeasurement>& measurements) {
    Json list = Json::array();
    for (const PreprocessMeasurement& x : measurements)
        list.push_back({{"pipeline", x.pipeline},
                        {"pictures", x.pictures},
                        {"images_per_second", 1.0 / x.seconds},
                        {"seconds", x.seconds},
                        {"decode_seconds", x.decode_seconds},
                        {"copy_seconds", x.copy_seconds},
                        {"share_of_limit", x.limit_share}});
    return {{"jpeg_decoder", data::jpeg_decoder_name()}, {"preprocess", list}};
}

}  // namespace vila::tools
