// VilaConfig: reading, checking and writing.

#include "models/config.h"
#include "models/config_fields.h"
#include "tensor/check.h"

namespace vila::models {

namespace {

// The image modes, and their names in the field `image_aspect_ratio` of LLaVA and VILA.
struct ImageModeName {
    const char* mode;
    const char* aspect_ratio;
};
constexpr ImageModeName kImageModes[] = {{"crop", "square"}, {"pad", "pad"}, {"resize", "resize"}};

}  // namespace

ImageLayout VilaConfig::image_layout() const {
    if (!vision) return {};
    const int64_t features = vision->num_patches() + (select_class_token ? 1 : 0);
    return {.tile_side = vision->image_size,
            .tile_features = features,
            .tile_tokens = projector.num_tokens(features),
            .max_tiles = max_tiles};
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
    if (projector.has(ProjectorConfig::Layer::Block) && projector.num_attention_heads == 0)
        projector.num_attention_heads = std::max<int64_t>(1, llm.hidden_size / 64);
    const int64_t layers = vision->num_hidden_layers;
    VILA_CHECK(-layers - 1 <= select_layer && select_layer <= layers, "mm_vision_select_layer ",
               select_layer, ": the vision tower has ", layers, " layers");
    VILA_CHECK(!select_class_token || vision->has_class_token(),
               "the class token is selected, but the vision tower has none");
    VILA_CHECK(max_tiles >= 1, "max_tiles is ", max_tiles, ": expected at least 1");
    image_layout();  // throws when the projector cannot merge this grid
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
    VILA_CHECK(!fields.boolean("mm_use_im_start_end", false), where,
               ": field mm_use_im_start_end: this model was trained with <im_start> and <im_end> "
               "around each image, which is not implemented");
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
    fallback_template = fields.text("fallback_chat_template", fallback_template);
}

Json VilaConfig::join_json(DType dtype) const {
    VILA_CHECK(max_tiles == 1, "a model whose images have up to ", max_tiles,
               " tiles cannot be saved: its config.json has no field for them");
    Json json = {
        {"architectures", {"LlavaLlamaModel"}}, {"model_type", "llava_llama"},
        {"parts", Json::array({"llm"})},        {"hidden_size", llm.hidden_size},
        {"chat_template", chat_template},       {"torch_dtype", torch_dtype_name(dtype)},
    };
    if (chat_template.empty()) {
        json.erase("chat_template");
        if (fallback_template != "none") json["fallback_chat_template"] = fallback_template;
    }
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
