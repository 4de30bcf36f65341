// VisionConfig: reading, checking and writing.

#include "models/config.h"
#include "models/config_fields.h"
#include "tensor/check.h"

namespace vila::models {

namespace {

struct ActivationName {
    GeluKind kind;
    const char* name;
};
constexpr ActivationName kActivations[] = {
    {GeluKind::Quick, "quick_gelu"},
    {GeluKind::Erf, "gelu"},
    {GeluKind::Tanh, "gelu_pytorch_tanh"},
};

GeluKind activation_from_name(const JsonFields& fields, const std::string& name) {
    for (const ActivationName& known : kActivations)
        if (known.name == name) return known.kind;
    fields.fail("hidden_act", "quick_gelu, gelu or gelu_pytorch_tanh");
}

const char* activation_name(GeluKind kind) {
    for (const ActivationName& known : kActivations)
        if (known.kind == kind) return known.name;
    return "";
}

// The configuration of a full CLIP or SigLIP model may omit fields that equal the defaults of its
// family, the base model. The configuration of a tower alone must contain its sizes.
struct Defaults {
    int64_t hidden_size, intermediate_size, num_hidden_layers, num_attention_heads;
    int64_t image_size, patch_size;
};
constexpr Defaults kClipBase = {768, 3072, 12, 12, 224, 32};
constexpr Defaults kSiglipBase = {768, 3072, 12, 12, 224, 16};
constexpr Defaults kNone = {0, 0, 0, 0, 0, 0};

int64_t size_field(const JsonFields& fields, const std::string& name, int64_t fallback) {
    return fallback == 0 ? fields.integer(name) : fields.integer(name, fallback);
}

VisionConfig read_tower(const JsonFields& fields, VisionConfig::Kind kind,
                        const Defaults& defaults) {
    const bool clip = kind == VisionConfig::Kind::Clip;
    VisionConfig config;
    config.kind = kind;
    config.hidden_size = size_field(fields, "hidden_size", defaults.hidden_size);
    config.intermediate_size = size_field(fields, "intermediate_size", defaults.intermediate_size);
    config.num_hidden_layers = size_field(fields, "num_hidden_layers", defaults.num_hidden_layers);
    config.num_attention_heads =
        size_field(fields, "num_attention_heads", defaults.num_attention_heads);
    config.image_size = size_field(fields, "image_size", defaults.image_size);
    config.patch_size = size_field(fields, "patch_size", defaults.patch_size);
    config.layer_norm_eps = fields.number_from_zero("layer_norm_eps", clip ? 1e-5 : 1e-6);
    config.activation = activation_from_name(
        fields, fields.text("hidden_act", clip ? "quick_gelu" : "gelu_pytorch_tanh"));
    VILA_CHECK_EQ(fields.integer("num_channels", 3), int64_t{3}, fields.where(),
                  ": field num_channels");
    constexpr int64_t kMaxLayers = 1000;
    constexpr int64_t kMaxSide = int64_t{1} << 16;
    VILA_CHECK(config.num_hidden_layers <= kMaxLayers, fields.where(), ": num_hidden_layers ",
               config.num_hidden_layers, ": expected at most ", kMaxLayers);
    VILA_CHECK(config.image_size <= kMaxSide, fields.where(), ": image_size ", config.image_size,
               ": expected at most ", kMaxSide);
    VILA_CHECK(config.hidden_size % config.num_attention_heads == 0, fields.where(),
               ": hidden_size ", config.hidden_size, " does not divide into ",
               config.num_attention_heads, " heads");
    VILA_CHECK(config.image_size >= config.patch_size, fields.where(), ": image_size ",
               config.image_size, " is smaller than patch_size ", config.patch_size);
    config.init.linear.scale = fields.number_from_zero("initializer_range", 0.02);
    if (fields.has("initializer")) {
        const JsonFields own = fields.object("initializer");
        config.init.linear = read_init_rule(own, "linear", config.init.linear);
        config.init.residual_scale = own.number("residual_scale", config.init.residual_scale);
        config.init.position = own.number_from_zero("position", config.init.position);
        config.init.class_token = own.number_from_zero("class_token", config.init.class_token);
    }
    return config;
}

}  // namespace

int64_t VisionConfig::num_patches() const {
    const int64_t side = image_size / patch_size;
    return side * side;
}

VisionConfig VisionConfig::from_json(const Json& json, const std::string& where) {
    const JsonFields fields(json, where);
    const std::string architecture = architecture_of(fields, vision_towers());
    const bool clip = architecture.starts_with("CLIP");
    const Kind kind = clip ? Kind::Clip : Kind::Siglip;
    if (!fields.has("vision_config")) return read_tower(fields, kind, kNone);
    return read_tower(fields.object("vision_config"), kind, clip ? kClipBase : kSiglipBase);
}

Json VisionConfig::to_json(DType dtype) const {
    const bool clip = kind == Kind::Clip;
    Json json = {
        {"architectures", {clip ? "CLIPVisionModel" : "SiglipVisionModel"}},
        {"model_type", clip ? "clip_vision_model" : "siglip_vision_model"},
        {"hidden_size", hidden_size},
        {"intermediate_size", intermediate_size},
        {"num_hidden_layers", num_hidden_layers},
        {"num_attention_heads", num_attention_heads},
        {"num_channels", 3},
        {"image_size", image_size},
        {"patch_size", patch_size},
        {"hidden_act", activation_name(activation)},
        {"layer_norm_eps", layer_norm_eps},
        {"torch_dtype", torch_dtype_name(dtype)},
    };
    // The pooling head of SigLIP is not part of this tower.
    if (!clip) json["vision_use_head"] = false;
    json["initializer"] = {{"linear", init_rule_json(init.linear)},
                           {"residual_scale", init.residual_scale},
                           {"position", init.position},
                           {"class_token", init.class_token}};
    return json;
}

}  // namespace vila::models
