#pragma once

// Reads model directories of any supported layout (models/layout.h), and writes the vila layout, in
// which the language model and the tower are Hugging Face models of their own:
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
    // The directory of a part's other files: tokenizer, image processor.
    std::filesystem::path files_of(Part part) const { return layout_->files_of(part); }

    // Loads the model with weights converted to `dtype`. No weight is trainable. Mapped weights are
    // read from the file at their first use; such a model must not be trained.
    std::unique_ptr<VilaModel> load(Device& device, DType dtype,
                                    WeightMemory memory = WeightMemory::Own) const;
    // Loads the weights of one part. Throws if their names and shapes differ from the table's.
    void load_part(Part part, nn::ParameterTable& table, Device& device, DType dtype) const;
    // Returns the most bytes of memory that load() allocates on a CPU with WeightMemory::Mapped:
    // the size in `dtype` of all floating-point tensors that the files hold in another dtype, and
    // that must be converted into copies. Tensors that load() ignores are counted, too.
    int64_t converted_bytes(DType dtype) const;

  private:
    std::filesystem::path path_;
    std::unique_ptr<Layout> layout_;
};

// Writes the model to `directory` with weights in `dtype`. Writes a temporary directory beside it
// first and then renames that, so that the result is never incomplete. Throws if `directory` holds
// files. A language model alone gets no directories for the other two parts. The parts in
// `unchanged` are copied from the files given there, in the dtypes of the files.
void save_model(const VilaModel& model, const std::filesystem::path& directory, DType dtype,
                const std::vector<ExtraFile>& extra_files = {}, const PartFiles& unchanged = {});
// Writes a vision tower alone in the same way, as DIR/config.json and DIR/vision_tower.
void save_vision_tower(const VisionConfig& config, const nn::ParameterTable& table,
                       const std::filesystem::path& directory, DType dtype,
                       const std::vector<ExtraFile>& extra_files = {});

}  // namespace vila::models
