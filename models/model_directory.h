#pragma once

// Model directories: reads any published layout (models/layout.h) and writes the vila layout, in
// which each part is a Hugging Face model of its own:
//
//     DIR/config.json              the configuration of the joined model
//     DIR/llm/                     LlamaForCausalLM or Qwen2ForCausalLM
//     DIR/vision_tower/            CLIPVisionModel or SiglipVisionModel
//     DIR/mm_projector/            config.json, model.safetensors
//
// Reading is strict: a tensor that the model does not use, or a weight that no file holds, is an
// error that names it.

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "models/part_weights.h"
#include "models/vila.h"

namespace vila::models {

// A file of a model directory other than weights and configurations: tokenizer, image processor,
// generation settings.
struct ExtraFile {
    std::string name;  // relative to the directory: "llm/tokenizer.json"
    std::string bytes;
};

// Reads the configuration of DIR: a joined model, or a language model alone.
VilaConfig read_model_config(const std::filesystem::path& directory);
// Loads the model in DIR with weights converted to `dtype`. No weight is trainable. Mapped weights
// are read from the file at their first use; such a model must not be trained.
std::unique_ptr<VilaModel> load_model(const std::filesystem::path& directory, Device& device,
                                      DType dtype, WeightMemory memory = WeightMemory::Own);
// The bytes of memory that load_model allocates with WeightMemory::Mapped: those of the weights
// that the files hold in another dtype, which must be converted into copies.
int64_t converted_bytes(const std::filesystem::path& directory, DType dtype);

// The configuration of one part. DIR is that part alone, or a joined model.
LlamaConfig read_llm_config(const std::filesystem::path& directory);
VisionConfig read_vision_config(const std::filesystem::path& directory);
ProjectorConfig read_projector_config(const std::filesystem::path& directory);
// Load the weights of one part from the same places. Shapes must be those of the table.
void load_llm_weights(const std::filesystem::path& directory, nn::ParameterTable& table,
                      Device& device, DType dtype);
void load_vision_weights(const std::filesystem::path& directory, nn::ParameterTable& table,
                         Device& device, DType dtype);
void load_projector_weights(const std::filesystem::path& directory, nn::ParameterTable& table,
                            Device& device, DType dtype);
// The directory that holds the other files of a part: tokenizer, image processor.
std::filesystem::path llm_directory(const std::filesystem::path& directory);
std::filesystem::path vision_directory(const std::filesystem::path& directory);

// Writes the model to DIR with weights in `dtype`, replacing an older DIR. Writes a directory
// beside DIR first and then renames it, so that DIR is complete at any time. A language model alone
// gets no directories for the other two parts. The parts in `unchanged` are copied from those
// files, in their dtypes.
void save_model(const VilaModel& model, const std::filesystem::path& directory, DType dtype,
                const std::vector<ExtraFile>& extra_files = {}, const PartFiles& unchanged = {});
// Writes a vision tower alone in the same way: DIR/config.json and DIR/vision_tower.
void save_vision_tower(const VisionConfig& config, const nn::ParameterTable& table,
                       const std::filesystem::path& directory, DType dtype,
                       const std::vector<ExtraFile>& extra_files = {});

}  // namespace vila::models
