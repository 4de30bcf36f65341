// The llava layout: LlavaLlamaForCausalLM of LLaVA-1.5 and VILA-1.0. One set of files holds the
// language model and the projector. The vision tower has a directory of its own, which config.json
// names by a path or by a name on a hub; nothing is fetched from a hub here. If the tower was
// trained, the set of files holds it too, and that copy is read.
//
// LLaVA's first stage writes only mm_projector.bin: a projector over a base model, which
// config.json names in the same way.

#include "models/config_fields.h"
#include "models/foreign_directory.h"
#include "models/layout.h"
#include "models/weight_files.h"
#include "tensor/check.h"
#include "tensor/json_fields.h"
#include "tensor/path_kind.h"

namespace vila::models {

namespace fs = std::filesystem;

namespace {

constexpr const char* kProjectorFiles[] = {"mm_projector.safetensors", "mm_projector.bin"};
constexpr const char* kArchitecture = "LlavaLlamaForCausalLM";

// "0.weight" of the original is "layers.0.weight" of VILA-1.5.
std::string projector_weight_name(const std::string& name) {
    return name.starts_with("layers.") ? name : "layers." + name;
}

std::optional<WeightKey> weight_key(const std::string& name) {
    if (const auto inner = without_prefix(name, "model.mm_projector."))
        return WeightKey{Part::Projector, projector_weight_name(*inner)};
    if (const auto inner = without_prefix(name, "model.vision_tower.vision_tower."))
        return WeightKey{Part::VisionTower, vision_weight_name(*inner)};
    return WeightKey{Part::Llm, name};
}

std::optional<WeightKey> adapter_weight_key(const std::string& name) {
    for (const char* prefix : {"model.mm_projector.", "mm_projector."})
        if (const auto inner = without_prefix(name, prefix))
            return WeightKey{Part::Projector, projector_weight_name(*inner)};
    return std::nullopt;
}

WeightSource whole_part(const fs::path& directory, Part part) {
    return {directory, [part](const std::string& name) {
                return std::optional(
                    WeightKey{part, part == Part::VisionTower ? vision_weight_name(name) : name});
            }};
}

class LlavaLayout : public Layout {
  public:
    LlavaLayout(const fs::path& directory, SourcedJson config, const LayoutOptions& options)
        : directory_(directory), config_(std::move(config)), options_(options) {
        if (WeightFiles::present(directory)) return;
        for (const char* file : kProjectorFiles)
            if (path_exists(directory / file)) adapter_ = directory / file;
    }

    const char* name() const override { return "llava"; }
    bool has(Part) const override { return true; }

    SourcedJson part_config(Part part) const override {
        switch (part) {
            case Part::Llm:
                return is_adapter() ? read_config_file(base()) : SourcedJson{llm_json(), where()};
            case Part::VisionTower:
                return read_config_file(tower());
            case Part::Projector:
                return {projector_json(), where()};
        }
        return {};
    }

    SourcedJson join_config() const override {
        Json join = config_.json;
        // The template of LLaVA-1.5 and VILA-1.0.
        if (!join.contains("chat_template") && !join.contains("fallback_chat_template"))
            join["chat_template"] = "vicuna_v1";
        return {join, where()};
    }

    std::vector<WeightSource> weights(Part part) const override {
        const WeightSource here = is_adapter() ? WeightSource{adapter_, adapter_weight_key}
                                               : WeightSource{directory_, weight_key};
        switch (part) {
            case Part::Llm:
                return {is_adapter() ? whole_part(base(), Part::Llm) : here};
            case Part::VisionTower:
                return {here, whole_part(tower(), Part::VisionTower)};
            case Part::Projector:
                return {here};
        }
        return {};
    }

    fs::path files_of(Part part) const override {
        if (part == Part::VisionTower) return tower();
        return is_adapter() && part == Part::Llm ? base() : directory_;
    }

  private:
    const std::string& where() const { return config_.where; }
    bool is_adapter() const { return !adapter_.empty(); }

    // The text of a field, or "" if it is absent.
    std::string text(const char* field) const {
        return JsonFields(config_.json, where()).text(field, "");
    }

    // The model directory that config.json names, relative or absolute; empty if there is none.
    fs::path named_directory(const std::string& name) const {
        for (const fs::path& path : {directory_ / name, fs::path(name)})
            if (!name.empty() && path_exists(path / kConfigFile)) return path;
        return {};
    }

    fs::path tower() const {
        if (!options_.vision_tower.empty()) return options_.vision_tower;
        const fs::path beside = directory_ / "vision_tower";
        if (path_exists(beside / kConfigFile)) return beside;
        const std::string name = text("mm_vision_tower");
        const fs::path found = named_directory(name);
        VILA_CHECK(!found.empty(), where(), ": the vision tower ", name,
                   " is not a directory here: put its files into ", beside.string(),
                   " (a link will do), or make a whole model with vila convert --vision-tower DIR");
        return found;
    }

    fs::path base() const {
        if (!options_.base.empty()) return options_.base;
        const fs::path beside = directory_ / "llm";
        if (path_exists(beside / kConfigFile)) return beside;
        const std::string name = text("_name_or_path");
        const fs::path found = named_directory(name);
        VILA_CHECK(!found.empty() && !fs::equivalent(found, directory_), directory_.string(),
                   ": holds a projector without its language model ", name, ": put its files into ",
                   beside.string(),
                   " (a link will do), or make a whole model with vila convert --base DIR");
        return found;
    }

    Json llm_json() const {
        const JsonFields fields(config_.json, where());
        if (fields.has("architectures"))
            architecture_of(fields, {{"llava_llama", kArchitecture}}, kOpens);
        Json json = plain_llm_json(config_.json);
        json["architectures"] = {"LlamaForCausalLM"};
        json["model_type"] = "llama";
        return json;
    }

    Json projector_json() const {
        Json json = {{"mm_projector_type", "linear"}};
        for (const char* field :
             {"mm_projector_type", "mm_hidden_size", "hidden_size", "token_order"})
            if (config_.json.contains(field)) json[field] = config_.json.at(field);
        return json;
    }

    fs::path directory_;
    SourcedJson config_;
    LayoutOptions options_;
    fs::path adapter_;  // the file of a projector alone, or empty
};

}  // namespace

std::unique_ptr<Layout> open_llava_layout(const fs::path& directory, SourcedJson config,
                                          const LayoutOptions& options) {
    return std::make_unique<LlavaLayout>(directory, std::move(config), options);
}

}  // namespace vila::models
