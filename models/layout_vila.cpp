// The vila layout: one directory per part, or a part alone.

#include "models/config_fields.h"
#include "models/foreign_directory.h"
#include "models/layout.h"
#include "tensor/check.h"
#include "tensor/json_fields.h"
#include "tensor/path_kind.h"

namespace vila::models {

namespace fs = std::filesystem;

namespace {

const char* folder_of(Part part) {
    switch (part) {
        case Part::Llm:
            return "llm";
        case Part::VisionTower:
            return "vision_tower";
        case Part::Projector:
            return "mm_projector";
    }
    return "";
}

// The chat template of the released models with this kind of language model.
const char* default_template(const LlamaConfig& llm) {
    constexpr int64_t kLlama3Vocabulary = 128256;
    constexpr int64_t kYiVocabulary = 64000;
    if (llm.architecture == "Qwen2ForCausalLM") return "qwen2";
    if (llm.vocab_size >= kLlama3Vocabulary) return "llama_3";
    return llm.vocab_size >= kYiVocabulary ? "hermes-2" : "vicuna_v1";
}

// The part in a directory that does not hold a whole model: as its configuration says, otherwise a
// language model.
Part part_alone(const fs::path& directory) {
    const bool has_tower = path_exists(directory / folder_of(Part::VisionTower) / kConfigFile);
    if (!path_exists(directory / kConfigFile)) return has_tower ? Part::VisionTower : Part::Llm;
    const SourcedJson config = read_config_file(directory);
    const JsonFields fields(config.json, config.where);
    if (has_architecture_of(fields, language_models())) return Part::Llm;
    if (fields.has("mm_projector_type")) return Part::Projector;
    const bool is_tower = has_tower || has_architecture_of(fields, vision_towers());
    return is_tower ? Part::VisionTower : Part::Llm;
}

class VilaLayout : public Layout {
  public:
    explicit VilaLayout(const fs::path& directory) : directory_(directory) {
        is_joined_ = path_exists(directory / folder_of(Part::Llm) / kConfigFile);
        if (is_joined_) {
            join_ = read_config_file(directory);
        } else {
            alone_ = part_alone(directory);
        }
    }

    const char* name() const override { return "vila"; }

    // Returns whether the directory has this part: `parts` in config.json lists it, or, without
    // `parts` (VILA-1.5), its directory exists.
    bool has(Part part) const override {
        if (!is_joined_) return part == alone_;
        const auto parts = join_.json.find("parts");
        if (parts == join_.json.end()) return holds(part);
        for (const Json& name : *parts)
            if (name == folder_of(part)) return true;
        return false;
    }

    SourcedJson part_config(Part part) const override {
        if (part == Part::Llm && !is_joined_)
            VILA_CHECK(alone_ == Part::Llm, directory_.string(), ": holds only a ",
                       part_name(alone_),
                       "; this needs a language model too: give a whole model, or make one with "
                       "vila train, stage align (model.llm, model.vision_tower)");
        SourcedJson config = read_config_file(has(part) && is_joined_ ? directory_ / folder_of(part)
                                                                      : files_of(part));
        if (part == Part::Llm && !is_joined_) refuse_unknown_model(config);
        return config;
    }

    SourcedJson join_config() const override {
        if (!is_joined_) return {Json::object(), directory_.string()};
        SourcedJson join = join_;
        // The files of VILA-1.5 and NVILA do not name their template.
        if (!join.json.contains("parts") && !join.json.contains("chat_template"))
            join.json["chat_template"] = default_template(llm_config(*this));
        return join;
    }

    std::vector<WeightSource> weights(Part part) const override {
        const WeightNaming naming = [part](const std::string& name) {
            return std::optional(
                WeightKey{part, part == Part::VisionTower ? vision_weight_name(name) : name});
        };
        return {{files_of(part), naming}};
    }

    fs::path files_of(Part part) const override {
        return holds(part) ? directory_ / folder_of(part) : directory_;
    }

  private:
    bool holds(Part part) const { return path_exists(directory_ / folder_of(part) / kConfigFile); }

    fs::path directory_;
    bool is_joined_ = false;  // otherwise the directory is a part alone
    Part alone_ = Part::Llm;
    SourcedJson join_;
};

}  // namespace

std::unique_ptr<Layout> open_vila_layout(const fs::path& directory) {
    return std::make_unique<VilaLayout>(directory);
}

}  // namespace vila::models
