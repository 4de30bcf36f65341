#pragma once

// Model directories: reading any published layout (models/layout.h), writing the vila layout, in
// which each part is a Hugging Face model of its own:
//
//     DIR/config.json              what joins the parts
//     DIR/llm/                     LlamaForCausalLM or Qwen2ForCausalLM
//     DIR/vision_tower/            CLIPVisionModel or SiglipVisionModel
//     DIR/mm_projector/            config.json, model.safetensors
//
// Every tensor in the files is used or named in an error; every weight of the model is found or
// named in an error.

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "models/part_weights.h"
#include "models/vila.h"

namespace vila::models {

// A file that belongs into a model directory without being weights or configuration: tokenizer,
// image processor, generation settings.
struct ExtraFile {
    std::string name;  // relative: "llm/tokenizer.json"
    std::string bytes;
};

// Configuration of DIR (joined, or a language model alone) without its weights.
VilaConfig read_model_config(const std::filesystem::path& directory);
// The model in DIR with weights converted to `dtype`; nothing takes gradients. Mapped weights are
// read from the file when they are first used; such a model must not be trained.
std::unique_ptr<VilaModel> load_model(const std::filesystem::path& directory, Device& device,
                                      DType dtype, WeightMemory memory = WeightMemory::Own);
// Bytes of memory that load_model with mapped weights takes: what the files hold in another dtype
// is converted and copied.
int64_t converted_bytes(const std::filesystem::path& directory, DType dtype);

// Configuration of one part: of DIR itself, or of the part of DIR where DIR is a joined model.
LlamaConfig read_llm_config(const std::filesystem::path& directory);
VisionConfig read_vision_config(const std::filesystem::path& directory);
ProjectorConfig read_projector_config(const std::filesystem::path& directory);
// Weights of one part from the same places into a table whose shapes must agree.
void load_llm_weights(const std::filesystem::path& directory, nn::ParameterTable& table,
                      Device& device, DType dtype);
void load_vision_weights(const std::filesystem::path& directory, nn::ParameterTable& table,
                         Device& device, DType dtype);
void load_projector_weights(const std::filesystem::path& directory, nn::ParameterTable& table,
                            Device& device, DType dtype);
// Where the files of a part are: its tokenizer, its image processor.
std::filesystem::path llm_directory(const std::filesystem::path& directory);
std::filesystem::path vision_directory(const std::filesystem::path& directory);

// Writes the model, weights in `dtype`: beside DIR first, then renamed, so that DIR is always
// whole; an older DIR is replaced. A model without vision is written in the same layout without
// those parts.
void save_model(const VilaModel& model, const std::filesystem::path& directory, DType dtype,
                const std::vector<ExtraFile>& extra_files = {});
// The same for a tower alone: DIR/config.json and DIR/vision_tower.
void save_vision_tower(const VisionConfig& config, const nn::ParameterTable& table,
                       const std::filesystem::path& directory, DType dtype,
                       const std::vector<ExtraFile>& extra_files = {});

}  // namespace vila::models
