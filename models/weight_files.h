#pragma once

// The weight files of one Hugging Face model directory. Like transformers, reads the first of these
// that exists: model.safetensors, the shards listed in model.safetensors.index.json,
// pytorch_model.bin, the shards listed in pytorch_model.bin.index.json.

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "nn/parameter.h"
#include "tensor/tensor_file.h"

namespace vila::models {

// The file that save_weights() writes.
constexpr const char* kWeightsFile = "model.safetensors";

class WeightFiles {
  public:
    // Opens the weights of a directory, or one file. Throws when the directory holds no weights, or
    // when index and shards disagree.
    explicit WeightFiles(const std::filesystem::path& path);
    // Whether a directory holds weight files.
    static bool present(const std::filesystem::path& directory);

    // The directory or file that was opened.
    const std::filesystem::path& path() const { return path_; }
    // The names of all tensors: file after file, in the order of their data.
    const std::vector<std::string>& names() const { return names_; }
    // The file that holds a tensor. Throws when there is none; the message suggests the nearest
    // name.
    const TensorFile& file_with(const std::string& name) const;
    Tensor load(const std::string& name, Device& device) const {
        return file_with(name).load(name, device);
    }
    // The path of the file that holds a tensor, for messages.
    const std::filesystem::path& file_of(const std::string& name) const {
        return file_with(name).path();
    }

  private:
    void add(const std::filesystem::path& path);
    void open_shards(const std::filesystem::path& index_path);

    std::filesystem::path path_;
    std::vector<std::unique_ptr<TensorFile>> files_;
    std::map<std::string, size_t> file_by_name_;
    std::vector<std::string> names_;
};

// Writes DIR/model.safetensors with every parameter of the table, in `dtype`, under its name.
void save_weights(const std::filesystem::path& directory, const nn::ParameterTable& table,
                  DType dtype);

}  // namespace vila::models
