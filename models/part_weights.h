#pragma once

// The weights of one part of a model, found in whatever files its layout keeps them in.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "models/layout.h"
#include "models/weight_files.h"

namespace vila::models {

class PartWeights {
  public:
    // Opens the files. Throws, naming file and tensor, when a tensor has no place in the layout,
    // when two tensors are the same weight, and when there are no weights of this part.
    PartWeights(const std::vector<WeightSource>& sources, Part part);

    struct Stored {
        const TensorFile* file = nullptr;
        std::string name;  // in that file

        // Throws when no Tensor can hold it.
        DType dtype() const;
    };
    // Names inside the part, in the order of the files.
    const std::vector<std::string>& names() const { return names_; }
    // Where a weight is; null when there is none of that name.
    const Stored* find(const std::string& name) const;
    // What was opened: for messages.
    const std::filesystem::path& path() const { return files_->path(); }

  private:
    bool add(const WeightSource& source, Part part);

    std::unique_ptr<WeightFiles> files_;
    std::map<std::string, Stored> stored_;
    std::vector<std::string> names_;
};

// Where the values of loaded weights are.
enum class WeightMemory {
    Own,     // copied: they may be trained
    Mapped,  // the file's own pages where dtype and device allow, never to be written
};

// Whether the files may hold this weight although the model has no use for it: buffers that follow
// from the configuration, the head of a tied model, the text half of CLIP, SigLIP's pooling head.
bool is_needless(Part part, const std::string& name, const nn::ParameterTable& table);

// Throws, naming file and tensor, unless the weights are those of the table: when a tensor has no
// parameter, a parameter no tensor, a shape differs, or a dtype is not a floating one.
void check_part(const PartWeights& weights, Part part, const nn::ParameterTable& table);

// Gives every parameter of the table its values, converted to `dtype`, without gradients. Throws
// as check_part does.
void load_part(const Layout& layout, Part part, nn::ParameterTable& table, Device& device,
               DType dtype, WeightMemory memory);

}  // namespace vila::models
