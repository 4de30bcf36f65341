// ProjectorConfig and VilaConfig: reading, checking, writing.

#include "models/config_fields.h"
#include "tensor/check.h"

namespace vila::models {

namespace {

struct KindName {
    ProjectorConfig::Kind kind;
    const char* name;
};
constexpr KindName kKinds[] = {
    {ProjectorConfig::Kind::Linear, "linear"},
    {ProjectorConfig::Kind::Mlp2xGelu, "mlp2x_gelu"},
    {ProjectorConfig::Kind::Transformer, "transformer"},
    {ProjectorConfig::Kind::MlpDownsample, "mlp_downsample"},
};

// JSON's `image_aspect_ratio` as LLaVA and VILA write it.
struct ImageModeName {
    const char* mode;
    const char* aspect_ratio;
};
constexpr ImageModeName kImageModes[] = {{"crop", "square"}, {"pad", "pad"}, {"resize", "resize"}};

}  // namespace

ProjectorConfig::Kind ProjectorConfig::kind_from_name(const std::string& name) {
    std::string list;
    for (const KindName& known : kKinds) {
        if (known.name == name) return known.kind;
        list += str(list.empty() ? "" : ", ", known.name);
    }
    throw Error(str("projector type ", name, " is not implemented; expected ", list));
}

const char* ProjectorConfig::kind_name(Kind kind) {
    for (const KindName& known : kKinds)
        if (known.kind == kind) return known.name;
    return "";
}

ProjectorConfig::TokenOrder ProjectorConfig::order_from_name(const std::string& name) {
    VILA_CHECK(name == "column" || name == "row", "token order \"", name,
               "\": expected column or row");
    return name == "column" ? TokenOrder::Column : TokenOrder::Row;
}

const char* ProjectorConfig::order_name(TokenOrder order) {
    return order == TokenOrder::Column ? "column" : "row";
}

int64_t ProjectorConfig::num_tokens(int64_t patches) const {
    if (kind != Kind::MlpDownsample) return patches;
    int64_t side = 0;
    while ((side + 1) * (side + 1) <= patches) ++side;
    VILA_CHECK_EQ(side * side, patches,
                  "projector mlp_downsample needs a square grid of features; features");
    const int64_t merged = (side + 1) / 2;
    return merged * merged;
}

ProjectorConfig ProjectorConfig::from_json(const Json& json, const std::string& where,
                                           TokenOrder older_order) {
    const JsonFields fields(json, where);
    ProjectorConfig config;
    std::string type = fields.text("mm_projector_type");
    config.token_order = older_order;
    // NVILA's name for the same weights in row order.
    if (type == "mlp_downsample_2x2_fix") {
        type = "mlp_downsample";
        config.token_order = TokenOrder::Row;
    }
    try {
        config.kind = kind_from_name(type);
        if (fields.has("token_order"))
            config.token_order = order_from_name(fields.text("token_order"));
    } catch (const Error& error) {
        throw Error(str(where, ": ", error.what()));
    }
    config.mm_hidden_size = fields.integer("mm_hidden_size", 0);
    config.hidden_size = fields.integer("hidden_size", 0);
    config.num_attention_heads = fields.integer("num_attention_heads", 0, 0);
    if (fields.has("initializer"))
        config.init = read_init_rule(fields.object("initializer"), "linear", config.init);
    return config;
}

Json ProjectorConfig::to_json(DType dtype) const {
    Json json = {
        {"architectures", {"MultimodalProjector"}},
        {"model_type", "v2l_projector"},
        {"mm_projector_type", kind_name(kind)},
        {"mm_hidden_size", mm_hidden_size},
        {"hidden_size", hidden_size},
        {"torch_dtype", torch_dtype_name(dtype)},
    };
    if (kind == Kind::MlpDownsample) json["token_order"] = order_name(token_order);
    if (kind == Kind::Transformer) json["num_attention_heads"] = num_attention_heads;
    json["initializer"] = {{"linear", init_rule_json(init)}};
    return json;
}

int64_t VilaConfig::features_per_image() const {
    if (!vision) return 0;
    return vision->num_patches() + (select_class_token ? 1 : 0);
}

int64_t VilaConfig::tokens_per_image() const {
    return vision ? projector.num_tokens(features_per_image()) : 0;
}

void VilaConfig::check_and_complete() {
    if (!vision) return;
    const auto complete = [](int64_t& width, int64_t expected, const char* what) {
        if (width == 0) width = expected;
        VILA_CHECK_EQ(width, expected, "projector ", what);
    };
    complete(projector.mm_hidden_size, vision->hidden_size,
             "mm_hidden_size (width of the vision tower)");
    complete(projector.hidden_size, llm.hidden_size, "hidden_size (width of the language model)");
    if (projector.kind == ProjectorConfig::Kind::Transformer && projector.num_attention_heads == 0)
        projector.num_attention_heads = std::max<int64_t>(1, llm.hidden_size / 64);
    const int64_t layers = vision->num_hidden_layers;
    VILA_CHECK(-layers - 1 <= select_layer && select_layer <= layers, "mm_vision_select_layer ",
               select_layer, ": the vision tower has ", layers, " layers");
    VILA_CHECK(!select_class_token || vision->has_class_token(),
               "the class token is selected, but the vision tower has none");
    tokens_per_image();  // throws when the grid does not suit the projector
}

void VilaConfig::read_join(const Json& json, const std::string& where) {
    const JsonFields fields(json, where);
    const std::string aspect = fields.text("image_aspect_ratio", "square");
    image_mode.clear();
    for (const ImageModeName& known : kImageModes)
        if (aspect == known.aspect_ratio || aspect == known.mode) image_mode = known.mode;
    VILA_CHECK(!image_mode.empty(), where, ": image_aspect_ratio ", aspect,
               " is not implemented; expected pad, resize or square");
    VILA_CHECK(!fields.boolean("s2", false) && !fields.boolean("dynamic_s2", false), where,
               ": multi-scale vision towers (s2) are not implemented");
    const int64_t resolution = fields.integer("vision_resolution", -1, -1);
    VILA_CHECK(resolution == -1 || !vision || resolution == vision->image_size, where,
               ": vision_resolution ", resolution,
               " differs from the tower's image_size; make a "
               "tower of that size with vila convert --image-size ",
               resolution);
    select_layer = fields.integer("mm_vision_select_layer", -2, INT64_MIN);
    // "patch" drops the class token, "cls_patch" keeps every row of the tower.
    const bool class_token = vision && vision->has_class_token();
    const std::string feature =
        fields.text("mm_vision_select_feature", class_token ? "patch" : "cls_patch");
    VILA_CHECK(feature == "patch" || feature == "cls_patch", where, ": mm_vision_select_feature ",
               feature, ": expected patch or cls_patch");
    VILA_CHECK(feature == "cls_patch" || class_token || !vision, where,
               ": mm_vision_select_feature patch would drop the first patch, because this tower "
               "has no class token; expected cls_patch");
    select_class_token = feature == "cls_patch" && class_token;
    chat_template = fields.text("chat_template", chat_template);
}

Json VilaConfig::join_json(DType dtype) const {
    Json json = {
        {"architectures", {"LlavaLlamaModel"}}, {"model_type", "llava_llama"},
        {"parts", Json::array({"llm"})},        {"hidden_size", llm.hidden_size},
        {"chat_template", chat_template},       {"torch_dtype", torch_dtype_name(dtype)},
    };
    if (!vision) return json;
    json["parts"] = {"llm", "vision_tower", "mm_projector"};
    json["mm_hidden_size"] = vision->hidden_size;
    for (const ImageModeName& known : kImageModes)
        if (known.mode == image_mode) json["image_aspect_ratio"] = known.aspect_ratio;
    json["mm_vision_select_layer"] = select_layer;
    const bool keeps_all = select_class_token || !vision->has_class_token();
    json["mm_vision_select_feature"] = keeps_all ? "cls_patch" : "patch";
    return json;
}

}  // namespace vila::models
