// Reads preprocessor_config.json as fifteen versions of transformers have written it, on its own or
// inside processor_config.json, and writes it as the current version reads it.

#include <algorithm>

#include "data/image/image_processor.h"
#include "tensor/check.h"
#include "tensor/file.h"
#include "tensor/json_fields.h"
#include "tensor/path_kind.h"

namespace vila::data {

namespace {

constexpr char kClip[] = "CLIPImageProcessor";
constexpr char kSiglip[] = "SiglipImageProcessor";
constexpr int64_t kMaxConfigBytes = int64_t{1} << 20;
constexpr char kOwnFile[] = "preprocessor_config.json";
constexpr char kSharedFile[] = "processor_config.json";
constexpr char kSharedField[] = "image_processor";

// Fields of one file, with errors that name it. A field that is absent or null keeps its default.
class Fields {
  public:
    Fields(const Json& json, const std::string& name) : json_(json), fields_(json, name) {}

    bool has(const char* field) const { return fields_.has(field); }
    const Json& at(const char* field) const { return json_[field]; }

    [[noreturn]] void fail(const char* field, const std::string& expected) const {
        fields_.fail(field, expected);
    }
    // A step whose field is null is switched off.
    void read(const char* field, bool& value) const {
        if (!has(field)) {
            value = value && !json_.contains(field);
            return;
        }
        value = fields_.boolean(field, value);
    }
    void read(const char* field, double& value) const {
        value = fields_.positive_number(field, value);
    }
    void read(const char* field, std::array<double, 3>& values) const {
        if (!has(field)) return;
        const std::vector<double> list = fields_.numbers(field, values.size());
        std::copy(list.begin(), list.end(), values.begin());
    }
    // Returns a side in pixels: json_[field], or json_[field][key].
    int64_t side(const char* field, const char* key = nullptr) const {
        const Json& value = key == nullptr ? json_[field] : json_[field][key];
        if (!value.is_number_integer() || value.get<int64_t>() < 1 ||
            value.get<int64_t>() > kMaxImageSide)
            fail(field, str("sides of 1 to ", kMaxImageSide, " pixels"));
        return value.get<int64_t>();
    }
    bool has_keys(const char* field, std::initializer_list<const char*> keys) const {
        const Json& value = json_[field];
        if (!value.is_object() || value.size() != keys.size()) return false;
        for (const char* key : keys)
            if (!value.contains(key)) return false;
        return true;
    }

  private:
    const Json& json_;
    JsonFields fields_;
};

// Class names may end in "Fast" or "Pil", and old ones name feature extractors.
std::string read_type(const Fields& fields) {
    const char* field =
        fields.has("image_processor_type") ? "image_processor_type" : "feature_extractor_type";
    if (!fields.has(field)) return kClip;
    if (!fields.at(field).is_string()) fields.fail(field, "a class name");
    std::string type = fields.at(field).get<std::string>();
    for (const std::string_view backend : {"Fast", "Pil"})
        if (type.ends_with(backend)) type.erase(type.size() - backend.size());
    for (const char* clip : {kClip, "CLIPFeatureExtractor", "LlavaImageProcessor"})
        if (type == clip) return kClip;
    if (type == kSiglip) return kSiglip;
    fields.fail(field, "CLIPImageProcessor or SiglipImageProcessor");
}

void read_size(const Fields& fields, ImageProcessorConfig& config) {
    constexpr char kField[] = "size";
    if (!fields.has(kField)) return;
    config.shortest_edge = config.resize_width = config.resize_height = 0;
    if (fields.at(kField).is_number()) {
        // One number means the shorter edge for CLIP and both sides for SigLIP.
        const int64_t side = fields.side(kField);
        (config.type == kClip ? config.shortest_edge : config.resize_width) = side;
        if (config.type != kClip) config.resize_height = side;
    } else if (fields.has_keys(kField, {"shortest_edge"})) {
        config.shortest_edge = fields.side(kField, "shortest_edge");
    } else if (fields.has_keys(kField, {"height", "width"})) {
        config.resize_height = fields.side(kField, "height");
        config.resize_width = fields.side(kField, "width");
    } else {
        fields.fail(kField, "a number, {shortest_edge} or {height, width}");
    }
}

void read_crop_size(const Fields& fields, ImageProcessorConfig& config) {
    constexpr char kField[] = "crop_size";
    if (!fields.has(kField)) return;
    if (fields.at(kField).is_number()) {
        config.crop_size = fields.side(kField);
    } else if (fields.has_keys(kField, {"height", "width"})) {
        config.crop_size = fields.side(kField, "height");
        if (fields.side(kField, "width") != config.crop_size) fields.fail(kField, "a square");
    } else {
        fields.fail(kField, "a number or {height, width}");
    }
}

ImageProcessorConfig config_of(const Json& json, const std::string& name) {
    VILA_CHECK(json.is_object(), name, ": not a JSON object");
    const Fields fields(json, name);
    const std::string type = read_type(fields);
    ImageProcessorConfig config;
    if (type == kSiglip)
        config = ImageProcessorConfig::for_tower(224, {0.5, 0.5, 0.5}, {0.5, 0.5, 0.5}, true);
    bool do_pad = false;  // how LlavaImageProcessor asks for ImageMode::Pad
    fields.read("do_pad", do_pad);
    if (do_pad) fields.fail("do_pad", "false; images are padded by image_mode = \"pad\"");
    read_size(fields, config);
    read_crop_size(fields, config);
    fields.read("do_resize", config.do_resize);
    fields.read("do_center_crop", config.do_center_crop);
    fields.read("do_rescale", config.do_rescale);
    fields.read("do_normalize", config.do_normalize);
    fields.read("rescale_factor", config.rescale_factor);
    fields.read("image_mean", config.mean);
    fields.read("image_std", config.deviation);
    for (const double deviation : config.deviation)
        if (!(static_cast<float>(deviation) > 0.0f)) fields.fail("image_std", "numbers above 0");
    if (fields.has("resample")) {
        const Json& resample = fields.at("resample");
        if (resample != 2 && resample != 3) fields.fail("resample", "2 (bilinear) or 3 (bicubic)");
        config.filter = static_cast<Filter>(resample.get<int>());
    }
    return config;
}

// Returns the field of processor_config.json, or null.
Json shared_config(const std::filesystem::path& directory) {
    const std::filesystem::path path = directory / kSharedFile;
    if (!path_exists(path)) return {};
    const Json json = parse_json(read_file(path, kMaxConfigBytes), path.string());
    VILA_CHECK(json.is_object(), path.string(), ": not a JSON object");
    return json.value(kSharedField, Json());
}

}  // namespace

ImageProcessorConfig ImageProcessorConfig::for_tower(int64_t size,
                                                     const std::array<double, 3>& mean,
                                                     const std::array<double, 3>& deviation,
                                                     bool siglip) {
    ImageProcessorConfig config;
    config.type = siglip ? kSiglip : kClip;
    config.shortest_edge = siglip ? 0 : size;
    config.resize_width = config.resize_height = siglip ? size : 0;
    config.do_center_crop = !siglip;
    config.crop_size = size;
    config.mean = mean;
    config.deviation = deviation;
    return config;
}

ImageProcessorConfig parse_image_processor_config(const std::string& text,
                                                  const std::string& name) {
    return config_of(parse_json(text, name, RepeatedKeys::Refuse), name);
}

bool has_image_processor_config(const std::filesystem::path& directory) {
    return path_exists(directory / kOwnFile) || !shared_config(directory).is_null();
}

ImageProcessorConfig read_image_processor_config(const std::filesystem::path& directory) {
    const Json shared = shared_config(directory);
    if (!shared.is_null())
        return config_of(shared, str((directory / kSharedFile).string(), ": ", kSharedField));
    const std::filesystem::path path = directory / kOwnFile;
    VILA_CHECK(path_exists(path), directory.string(), ": holds neither ", kOwnFile, " nor a ",
               kSharedFile, " with the field ", kSharedField,
               ": copy one of them from the vision tower's repository");
    return parse_image_processor_config(read_file(path, kMaxConfigBytes), path.string());
}

std::string image_processor_config_text(const ImageProcessorConfig& config) {
    Json json;
    json["image_processor_type"] = config.type;
    json["do_convert_rgb"] = true;
    json["do_resize"] = config.do_resize;
    if (config.shortest_edge != 0) {
        json["size"] = {{"shortest_edge", config.shortest_edge}};
    } else {
        json["size"] = {{"height", config.resize_height}, {"width", config.resize_width}};
    }
    json["resample"] = static_cast<int>(config.filter);
    json["do_center_crop"] = config.do_center_crop;
    if (config.do_center_crop)
        json["crop_size"] = {{"height", config.crop_size}, {"width", config.crop_size}};
    json["do_rescale"] = config.do_rescale;
    json["rescale_factor"] = config.rescale_factor;
    json["do_normalize"] = config.do_normalize;
    json["image_mean"] = config.mean;
    json["image_std"] = config.deviation;
    return json.dump(2) + "\n";
}

}  // namespace vila::data
