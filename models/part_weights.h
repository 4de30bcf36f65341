#pragma once

// The weights of one part of a model, in the files of its layout.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "models/layout.h"
#include "models/weight_files.h"

namespace vila::models {

class PartWeights {
  public:
    // Opens the files. Throws, naming file and tensor, when the layout has no such tensor, when two
    // tensors are the same weight, and when there are no weights of this part.
    PartWeights(const std::vector<WeightSource>& sources, Part part);

    struct Stored {
        const TensorFile* file = nullptr;
        std::string name;  // in that file

        // Throws when Tensor does not support the stored dtype.
        DType dtype() const;
    };
    // The names of the weights in the part, in the order of the files.
    const std::vector<std::string>& names() const { return names_; }
    // The tensor that holds a weight, or null if there is none.
    const Stored* find(const std::string& name) const;
    // The directory or file that was opened, for messages.
    const std::filesystem::path& path() const { return files_->path(); }

    // Uses lm_head.weight in place of model.embed_tokens.weight, which the files lack.
    void use_head_as_embedding();

  private:
    bool add(const WeightSource& source, Part part);

    std::unique_ptr<WeightFiles> files_;
    std::map<std::string, Stored> stored_;
    std::vector<std::string> names_;
};

// The open weights of some parts of a model.
using PartFiles = std::map<Part, std::unique_ptr<PartWeights>>;

// The memory of loaded weights.
enum class WeightMemory {
    Own,     // a copy, which may be trained
    Mapped,  // the pages of the file if dtype and device allow; never written
};

// Whether files may hold this weight although the model does not use it: buffers that follow from
// the configuration, the head of a tied model, the text half of CLIP, SigLIP's pooling head.
bool is_unused(Part part, const std::string& name, const nn::ParameterTable& table);

// Returns whether the files hold an lm_head with other values than the embedding table.
bool has_other_head(const Layout& layout);

// Opens the weights of a part for the parameters of the table. Throws, naming file and tensor, when
// a tensor has no parameter in the table, a parameter has no tensor, a shape differs, or a dtype is
// not floating.
std::unique_ptr<PartWeights> open_part(const Layout& layout, Part part,
                                       const nn::ParameterTable& table);

// Loads the values of every parameter of the table, converted to `dtype`. No parameter is trainable
// afterwards. Throws as open_part does.
void load_part(const Layout& layout, Part part, nn::ParameterTable& table, Device& device,
               DType dtype, WeightMemory memory);

}  // namespace vila::models
