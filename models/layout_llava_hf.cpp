// The llava-hf layout: LlavaForConditionalGeneration of transformers. One config.json nests the
// configurations of the parts and omits fields that equal a default. There are two sets of tensor
// names, before and after transformers 4.52.

#include "models/layout.h"
#include "tensor/check.h"
#include "tensor/json_fields.h"

namespace vila::models {

namespace fs = std::filesystem;

namespace {

// The defaults of transformers for the fields that text_config omits.
Json llama_defaults() {
    return {{"architectures", {"LlamaForCausalLM"}},
            {"vocab_size", 32000},
            {"hidden_size", 4096},
            {"intermediate_size", 11008},
            {"num_hidden_layers", 32},
            {"num_attention_heads", 32},
            {"max_position_embeddings", 2048},
            {"rms_norm_eps", 1e-6}};
}
Json qwen2_defaults() {
    return {{"architectures", {"Qwen2ForCausalLM"}},
            {"vocab_size", 151936},
            {"hidden_size", 4096},
            {"intermediate_size", 22016},
            {"num_hidden_layers", 32},
            {"num_attention_heads", 32},
            {"num_key_value_heads", 32},
            {"max_position_embeddings", 32768},
            {"rms_norm_eps", 1e-6}};
}

// The default vision tower, without any vision_config: CLIP L/14 at 336 pixels.
Json default_tower() {
    return {{"model_type", "clip_vision_model"},
            {"hidden_size", 1024},
            {"intermediate_size", 4096},
            {"num_hidden_layers", 24},
            {"num_attention_heads", 16},
            {"image_size", 336},
            {"patch_size", 14}};
}

std::optional<WeightKey> weight_key(const std::string& stored) {
    const std::string name = without_prefix(stored, "model.").value_or(stored);
    if (name == "lm_head.weight" || name == "language_model.lm_head.weight")
        return WeightKey{Part::Llm, "lm_head.weight"};
    for (const char* trunk : {"language_model.model.", "language_model."})
        if (const auto inner = without_prefix(name, trunk))
            return WeightKey{Part::Llm, "model." + *inner};
    if (const auto inner = without_prefix(name, "vision_tower."))
        return WeightKey{Part::VisionTower, vision_weight_name(*inner)};
    if (const auto inner = without_prefix(name, "multi_modal_projector.linear_1."))
        return WeightKey{Part::Projector, "layers.0." + *inner};
    if (const auto inner = without_prefix(name, "multi_modal_projector.linear_2."))
        return WeightKey{Part::Projector, "layers.2." + *inner};
    return std::nullopt;
}

class LlavaHfLayout : public Layout {
  public:
    LlavaHfLayout(const fs::path& directory, SourcedJson config)
        : directory_(directory), config_(std::move(config)) {}

    const char* name() const override { return "llava-hf"; }
    bool has(Part) const override { return true; }

    SourcedJson part_config(Part part) const override {
        switch (part) {
            case Part::Llm:
                return {llm_json(), where() + ": text_config"};
            case Part::VisionTower:
                return {vision_json(), where() + ": vision_config"};
            case Part::Projector:
                return {projector_json(), where()};
        }
        return {};
    }

    SourcedJson join_config() const override {
        const JsonFields fields(config_.json, where());
        Json join = {{"mm_vision_select_layer", select_layer()}};
        const std::string strategy = fields.text("vision_feature_select_strategy", "default");
        VILA_CHECK(strategy == "default" || strategy == "full", where(),
                   ": vision_feature_select_strategy ", strategy, ": expected default or full");
        join["mm_vision_select_feature"] = strategy == "default" ? "patch" : "cls_patch";
        join["fallback_chat_template"] = "vicuna_v1";
        for (const char* own : {"chat_template", "fallback_chat_template", "image_aspect_ratio",
                                "image_token_index", "image_token_id", "mm_vision_tower"})
            if (fields.has(own)) join[own] = fields.raw(own);
        return {join, where()};
    }

    std::vector<WeightSource> weights(Part) const override { return {{directory_, weight_key}}; }
    fs::path files_of(Part) const override { return directory_; }

  private:
    const std::string& where() const { return config_.where; }

    Json llm_json() const {
        const JsonFields fields(config_.json, where());
        Json given = fields.has("text_config") ? fields.raw("text_config") : Json::object();
        VILA_CHECK(given.is_object(), where(), ": field text_config: expected an object");
        const bool is_qwen2 = given.value("model_type", Json("llama")) == "qwen2";
        Json json = is_qwen2 ? qwen2_defaults() : llama_defaults();
        // The error for any other model type should name that type.
        if (given.contains("model_type") && !given.contains("architectures"))
            json.erase("architectures");
        json.update(given);
        if (json.contains("architectures") && json["architectures"].is_null())
            json.erase("architectures");
        if (!json.contains("architectures") && !json.contains("model_type"))
            json["model_type"] = "llama";
        if (fields.boolean("tie_word_embeddings", false)) json["tie_word_embeddings"] = true;
        return json;
    }

    // A nested configuration may omit fields that equal the defaults of its family. The reader of
    // VisionConfig fills them in if they are nested in `vision_config`.
    Json vision_json() const {
        const JsonFields fields(config_.json, where());
        if (!fields.has("vision_config")) return default_tower();
        Json given = fields.raw("vision_config");
        VILA_CHECK(given.is_object(), where(), ": field vision_config: expected an object");
        const std::string type = JsonFields(given, where()).text("model_type", "clip_vision_model");
        given.erase("architectures");
        return {{"model_type", type}, {"vision_config", given}};
    }

    Json projector_json() const {
        const JsonFields fields(config_.json, where());
        const std::string activation = fields.text("projector_hidden_act", "gelu");
        VILA_CHECK(activation == "gelu", where(), ": projector_hidden_act ", activation,
                   " is not implemented; expected gelu");
        VILA_CHECK(fields.boolean("multimodal_projector_bias", true), where(),
                   ": a projector without biases is not implemented");
        return {{"mm_projector_type", "mlp2x_gelu"}};
    }

    Json select_layer() const {
        const JsonFields fields(config_.json, where());
        if (!fields.has("vision_feature_layer")) return -2;
        const Json& layer = fields.raw("vision_feature_layer");
        if (!layer.is_array()) return layer;
        VILA_CHECK(layer.size() == 1, where(), ": features of ", layer.size(),
                   " layers side by side (vision_feature_layer) are not implemented");
        return layer[0];
    }

    fs::path directory_;
    SourcedJson config_;
};

}  // namespace

std::unique_ptr<Layout> open_llava_hf_layout(const fs::path& directory, SourcedJson config) {
    return std::make_unique<LlavaHfLayout>(directory, std::move(config));
}

}  // namespace vila::models
