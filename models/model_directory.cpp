#include "models/model_directory.h"

#include <algorithm>

#include "models/json_fields.h"
#include "models/weight_files.h"
#include "tensor/file.h"

namespace vila::models {

namespace fs = std::filesystem;

namespace {

constexpr const char* kConfigFile = "config.json";
constexpr const char* kLlm = "llm";
constexpr const char* kVisionTower = "vision_tower";
constexpr const char* kProjector = "mm_projector";

bool holds_part(const fs::path& directory, const char* part) {
    return fs::exists(directory / part / kConfigFile);
}

fs::path part_directory(const fs::path& directory, const char* part) {
    return holds_part(directory, part) ? directory / part : directory;
}

std::string config_path(const fs::path& directory) {
    const fs::path path = directory / kConfigFile;
    VILA_CHECK(fs::exists(path), directory.string(), ": not a model directory: it holds no ",
               kConfigFile);
    return path.string();
}

// Whether MODEL/config.json says that the model has this part; files that do not say (VILA-1.5)
// mean the directories that are there.
bool names_part(const Json& join, const fs::path& directory, const char* part) {
    if (!join.contains("parts")) return holds_part(directory, part);
    for (const Json& name : join.at("parts"))
        if (name == part) return true;
    return false;
}

void write_text(const fs::path& path, const std::string& text) {
    fs::create_directories(path.parent_path());
    write_file_atomic(path, text);
}

void write_part(const fs::path& directory, const Json& config, const nn::ParameterTable& table,
                DType dtype) {
    write_text(directory / kConfigFile, config.dump(2) + "\n");
    save_weights(directory, table, dtype);
}

std::string llm_tensor(const std::string& name, const nn::ParameterTable& table) {
    // Old files keep the rotary frequencies, which follow from the configuration, and files of
    // tied models may repeat the embedding table.
    if (name.ends_with("rotary_emb.inv_freq")) return "";
    const auto is_head = [](const nn::Parameter& p) { return p.name == "lm_head.weight"; };
    const bool untied = std::any_of(table.begin(), table.end(), is_head);
    return name == "lm_head.weight" && !untied ? "" : name;
}

std::string vision_tensor(const std::string& name) {
    // A full CLIP or SigLIP file has a text half; the pooling head of SigLIP is for that half too.
    for (const char* text_half :
         {"text_model.", "text_projection.", "visual_projection.", "logit_scale", "logit_bias"})
        if (name.starts_with(text_half)) return "";
    const std::string prefix = "vision_model.";
    // Some writers leave the prefix out.
    const std::string inner = name.starts_with(prefix) ? name.substr(prefix.size()) : name;
    if (inner.starts_with("head.") || inner == "embeddings.position_ids") return "";
    return prefix + inner;
}

}  // namespace

fs::path llm_directory(const fs::path& directory) {
    return part_directory(directory, kLlm);
}

fs::path vision_directory(const fs::path& directory) {
    return part_directory(directory, kVisionTower);
}

LlamaConfig read_llm_config(const fs::path& directory) {
    const std::string path = config_path(llm_directory(directory));
    return LlamaConfig::from_json(read_json_file(path), path);
}

VisionConfig read_vision_config(const fs::path& directory) {
    const std::string path = config_path(vision_directory(directory));
    return VisionConfig::from_json(read_json_file(path), path);
}

ProjectorConfig read_projector_config(const fs::path& directory) {
    const std::string path = config_path(part_directory(directory, kProjector));
    // Files that do not say are of VILA-1.5, which runs down the columns.
    return ProjectorConfig::from_json(read_json_file(path), path,
                                      ProjectorConfig::TokenOrder::Column);
}

VilaConfig read_model_config(const fs::path& directory) {
    VilaConfig config;
    config.llm = read_llm_config(directory);
    if (!holds_part(directory, kLlm)) return config;
    const std::string path = config_path(directory);
    const Json join = read_json_file(path);
    if (names_part(join, directory, kVisionTower)) {
        config.vision =
            VisionConfig::from_json(read_json_file(config_path(directory / kVisionTower)),
                                    config_path(directory / kVisionTower));
        config.projector = read_projector_config(directory);
    }
    config.read_join(join, path);
    try {
        config.check_and_complete();
    } catch (const Error& error) {
        throw Error(str(directory.string(), ": the parts do not fit: ", error.what()));
    }
    return config;
}

std::unique_ptr<VilaModel> load_model(const fs::path& directory, Device& device, DType dtype) {
    auto model = std::make_unique<VilaModel>(read_model_config(directory), device, dtype);
    load_llm_weights(directory, model->llm_table(), device, dtype);
    if (model->has_vision()) {
        load_vision_weights(directory, model->vision_table(), device, dtype);
        load_projector_weights(directory, model->projector_table(), device, dtype);
    }
    return model;
}

void load_llm_weights(const fs::path& directory, nn::ParameterTable& table, Device& device,
                      DType dtype) {
    const auto naming = [&](const std::string& name) { return llm_tensor(name, table); };
    load_weights(WeightFiles(llm_directory(directory)), naming, table, device, dtype);
}

void load_vision_weights(const fs::path& directory, nn::ParameterTable& table, Device& device,
                         DType dtype) {
    load_weights(WeightFiles(vision_directory(directory)), vision_tensor, table, device, dtype);
}

void load_projector_weights(const fs::path& directory, nn::ParameterTable& table, Device& device,
                            DType dtype) {
    const auto naming = [](const std::string& name) { return name; };
    load_weights(WeightFiles(part_directory(directory, kProjector)), naming, table, device, dtype);
}

void save_model(const VilaModel& model, const fs::path& directory, DType dtype,
                const std::vector<ExtraFile>& extra_files) {
    AtomicDirectory making(directory);
    const VilaConfig& config = model.config();
    write_text(making.path() / kConfigFile, config.join_json(dtype).dump(2) + "\n");
    write_part(making.path() / kLlm, config.llm.to_json(dtype), model.llm_table(), dtype);
    if (model.has_vision()) {
        write_part(making.path() / kVisionTower, config.vision->to_json(dtype),
                   model.vision_table(), dtype);
        write_part(making.path() / kProjector, config.projector.to_json(dtype),
                   model.projector_table(), dtype);
    }
    for (const ExtraFile& file : extra_files) write_text(making.path() / file.name, file.bytes);
    making.commit();
}

void save_vision_tower(const VisionConfig& config, const nn::ParameterTable& table,
                       const fs::path& directory, DType dtype,
                       const std::vector<ExtraFile>& extra_files) {
    AtomicDirectory making(directory);
    const Json join = {{"model_type", "llava_llama"}, {"parts", Json::array({kVisionTower})}};
    write_text(making.path() / kConfigFile, join.dump(2) + "\n");
    write_part(making.path() / kVisionTower, config.to_json(dtype), table, dtype);
    for (const ExtraFile& file : extra_files) write_text(making.path() / file.name, file.bytes);
    making.commit();
}

}  // namespace vila::models
