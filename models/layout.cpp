#include "models/layout.h"

#include <algorithm>

#include "models/config_fields.h"
#include "models/foreign_directory.h"
#include "models/part_weights.h"
#include "tensor/check.h"
#include "tensor/json_fields.h"
#include "tensor/path_kind.h"

namespace vila::models {

namespace fs = std::filesystem;

namespace {

// Returns whether the list `architectures` in the configuration contains `name`.
bool has_architecture(const Json& config, const char* name) {
    const auto found = config.find("architectures");
    if (found == config.end() || !found->is_array()) return false;
    return std::ranges::any_of(*found, [&](const Json& one) {
        return one.is_string() && same_architecture(one.get<std::string>(), name);
    });
}

// Both transformers and LLaVA have used the model type "llava". Only transformers nests
// text_config.
bool is_llava_hf(const Json& config) {
    if (has_architecture(config, "LlavaForConditionalGeneration")) return true;
    return config.value("model_type", Json()) == "llava" && config.contains("text_config");
}

bool is_llava(const Json& config) {
    return has_architecture(config, "LlavaLlamaForCausalLM") || config.contains("mm_vision_tower");
}

bool is_projector_alone(const fs::path& directory) {
    return path_exists(directory / "mm_projector.bin") ||
           path_exists(directory / "mm_projector.safetensors");
}

// Settings of generation_config.json that change greedy answers in transformers, and the numbers
// with which they change nothing.
constexpr std::pair<const char*, double> kGreedySettings[] = {{"repetition_penalty", 1.0},
                                                              {"no_repeat_ngram_size", 0.0},
                                                              {"min_new_tokens", 0.0},
                                                              {"min_length", 0.0},
                                                              {"num_beams", 1.0},
                                                              {"suppress_tokens", 0.0},
                                                              {"bad_words_ids", 0.0},
                                                              {"begin_suppress_tokens", 0.0},
                                                              {"forced_bos_token_id", -1.0},
                                                              {"forced_eos_token_id", -1.0}};

// The names of those settings that `json` sets, separated by commas.
std::string greedy_settings(const Json& json) {
    std::string set;
    for (const auto& [name, neutral] : kGreedySettings) {
        const Json value = json.value(name, Json());
        const bool is_neutral = value.is_null() || value == neutral || value == Json::array();
        if (!is_neutral) set += str(set.empty() ? "" : ", ", name);
    }
    return set;
}

// Adds the end ids that only generation_config.json lists, and a remark on settings of the file
// that are not applied.
void add_generation_config(const fs::path& directory, LlamaConfig& config) {
    const fs::path file = directory / "generation_config.json";
    if (!path_exists(file)) return;
    const Json json = read_json_file(file.string());
    for (const int32_t id : read_token_ids(JsonFields(json, file.string()), "eos_token_id"))
        if (std::ranges::find(config.eos_token_ids, id) == config.eos_token_ids.end())
            config.eos_token_ids.push_back(id);
    if (const std::string set = greedy_settings(json); !set.empty())
        config.remarks.push_back(str(file.string(), ": not applied: ", set));
}

}  // namespace

const char* part_name(Part part) {
    switch (part) {
        case Part::Llm:
            return "language model";
        case Part::VisionTower:
            return "vision tower";
        case Part::Projector:
            return "projector";
    }
    return "";
}

std::unique_ptr<Layout> open_layout(const fs::path& directory, const LayoutOptions& options) {
    refuse_foreign_directory(directory);
    for (const fs::path& part : {options.vision_tower, options.base})
        if (!part.empty()) refuse_foreign_directory(part);
    const bool is_joined = path_exists(directory / "llm" / kConfigFile);
    if (path_exists(directory / kConfigFile) && (!is_joined || is_projector_alone(directory))) {
        SourcedJson config = read_config_file(directory);
        VILA_CHECK(config.json.is_object(), config.where, ": expected a JSON object");
        refuse_quantized(config.json, config.where);
        if (is_llava_hf(config.json)) return open_llava_hf_layout(directory, std::move(config));
        if (is_llava(config.json)) return open_llava_layout(directory, std::move(config), options);
    }
    return open_vila_layout(directory);
}

LlamaConfig llm_config(const Layout& layout) {
    const SourcedJson source = layout.part_config(Part::Llm);
    LlamaConfig config = LlamaConfig::from_json(source.json, source.where);
    add_generation_config(layout.files_of(Part::Llm), config);
    if (config.tie_word_embeddings && has_other_head(layout)) {
        config.tie_word_embeddings = false;
        config.remarks.push_back(
            str(source.where,
                ": tie_word_embeddings is true, but the files hold an lm_head of "
                "other values than the embeddings: the lm_head is used"));
    }
    return config;
}

VisionConfig vision_config(const Layout& layout) {
    const SourcedJson config = layout.part_config(Part::VisionTower);
    return VisionConfig::from_json(config.json, config.where);
}

ProjectorConfig projector_config(const Layout& layout) {
    const SourcedJson config = layout.part_config(Part::Projector);
    // Files without token_order are from VILA-1.5, which runs down the columns.
    return ProjectorConfig::from_json(config.json, config.where,
                                      ProjectorConfig::TokenOrder::Column);
}

VilaConfig model_config(const Layout& layout) {
    VilaConfig config;
    config.llm = llm_config(layout);
    if (layout.has(Part::VisionTower)) {
        config.vision = vision_config(layout);
        config.projector = projector_config(layout);
    }
    const SourcedJson join = layout.join_config();
    config.read_join(join.json, join.where);
    try {
        config.check_and_complete();
    } catch (const Error& error) {
        throw Error(str(join.where, ": the parts do not fit: ", error.what()));
    }
    return config;
}

SourcedJson read_config_file(const fs::path& directory) {
    const fs::path path = directory / kConfigFile;
    VILA_CHECK(path_exists(path), directory.string(), ": not a model directory: it holds no ",
               kConfigFile);
    return {read_json_file(path.string()), path.string()};
}

std::optional<std::string> without_prefix(const std::string& name, const std::string& prefix) {
    if (!name.starts_with(prefix)) return std::nullopt;
    return name.substr(prefix.size());
}

std::string vision_weight_name(const std::string& name) {
    // The text half of a full CLIP or SigLIP keeps its names.
    for (const char* text_half :
         {"text_model.", "text_projection.", "visual_projection.", "logit_scale", "logit_bias"})
        if (name.starts_with(text_half)) return name;
    const std::string prefix = "vision_model.";
    return name.starts_with(prefix) ? name : prefix + name;
}

Json plain_llm_json(Json json) {
    std::vector<std::string> joining;
    for (const auto& [key, value] : json.items()) {
        const bool is_joining = key.starts_with("mm_") || key.starts_with("image_") ||
                                key.starts_with("tune_") || key.starts_with("freeze_") ||
                                key == "use_mm_proj" || key == "chat_template" ||
                                key == "auto_map" || key == "_name_or_path";
        if (is_joining) joining.push_back(key);
    }
    for (const std::string& key : joining) json.erase(key);
    return json;
}

}  // namespace vila::models
