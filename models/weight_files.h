#pragma once

// The weights of one Hugging Face model directory, in the order in which its other readers look:
// model.safetensors, the shards that model.safetensors.index.json lists, pytorch_model.bin, the
// shards that pytorch_model.bin.index.json lists.

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "nn/parameter.h"
#include "tensor/tensor_file.h"

namespace vila::models {

class WeightFiles {
  public:
    // Opens what the directory holds, or one file; throws when the directory holds none of them, or
    // when index and shards disagree.
    explicit WeightFiles(const std::filesystem::path& path);
    // Whether DIR holds any of them.
    static bool present(const std::filesystem::path& directory);

    // What was opened.
    const std::filesystem::path& path() const { return path_; }
    // Name of every tensor, in the order of files and of their data.
    const std::vector<std::string>& names() const { return names_; }
    // The file that holds a tensor; throws when there is none of that name.
    const TensorFile& holding(const std::string& name) const;
    Tensor load(const std::string& name, Device& device) const {
        return holding(name).load(name, device);
    }
    // Path of the file that holds a tensor: for messages.
    const std::filesystem::path& file_of(const std::string& name) const {
        return holding(name).path();
    }

  private:
    void add(const std::filesystem::path& path);
    void open_shards(const std::filesystem::path& index_path);

    std::filesystem::path path_;
    std::vector<std::unique_ptr<TensorFile>> files_;
    std::map<std::string, size_t> file_by_name_;
    std::vector<std::string> names_;
};

// Writes DIR/model.safetensors with every parameter of the table under its name.
void save_weights(const std::filesystem::path& directory, const nn::ParameterTable& table,
                  DType dtype);

}  // namespace vila::models
