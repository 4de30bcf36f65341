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

// A model directory of any layout, opened for reading. It holds a joined model, or one part alone;
// asking for a part that it lacks throws and names the directory.
class ModelDirectory {
  public:
    // Recognizes the layout. Throws when the directory holds no model.
    explicit ModelDirectory(std::filesystem::path path, const LayoutOptions& options = {});

    const std::filesystem::path& path() const { return path_; }
    const Layout& layout() const { return *layout_; }

    // The configuration of the model: a joined one, or a language model alone.
    VilaConfig config() const { return model_config(*layout_); }
    // The configurations of the parts.
    LlamaConfig llm_config() const { return models::llm_config(*layout_); }
    VisionConfig vision_config() const { return models::vision_config(*layout_); }
    ProjectorConfig projector_config() const { return models::projector_config(*layout_); }
    // The directory that holds the other files of a part: tokenizer, image processor.
    std::filesystem::path files_of(Part part) const { return layout_->files_of(part); }

    // Loads the model with weights converted to `dtype`. No weight is trainable. Mapped weights are
    // read from the file at their first use; such a model must not be trained.
    std::unique_ptr<VilaModel> load(Device& device, DType dtype,
                                    WeightMemory memory = WeightMemory::Own) const;
    // Loads the weights of one part. Their shapes must be those of the table.
    void load_part(Part part, nn::ParameterTable& table, Device& device, DType dtype) const;
    // The bytes of memory that load() allocates with WeightMemory::Mapped: those of the weights
    // that the files hold in another dtype, which must be converted into copies.
    int64_t converted_bytes(DType dtype) const;

  private:
    std::filesystem::path path_;
    std::unique_ptr<Layout> layout_;
};

// Writes the model to DIR with weights in `dtype`. Writes a directory beside DIR first and then
// renames it, so that DIR is complete if it exists. Throws if DIR holds files. A language model
// alone gets no directories for the other two parts. The parts in `unchanged` are copied from those
// files, in their dtypes.
void save_model(const VilaModel& model, const std::filesystem::path& directory, DType dtype,
                const std::vector<ExtraFile>& extra_files = {}, const PartFiles& unchanged = {});
// Writes a vision tower alone in the same way: DIR/config.json and DIR/vision_tower.
void save_vision_tower(const VisionConfig& config, const nn::ParameterTable& table,
                       const std::filesystem::path& directory, DType dtype,
                       const std::vector<ExtraFile>& extra_files = {});

}  // namespace vila::models
