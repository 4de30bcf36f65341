#pragma once

// A file of named tensors in any format: safetensors, or the zip archives of PyTorch. Names, shapes
// and dtypes are known once it is open; values stay on disk until they are loaded.

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace vila {

class TensorFile {
  public:
    TensorFile() = default;
    virtual ~TensorFile() = default;
    TensorFile(const TensorFile&) = delete;
    TensorFile& operator=(const TensorFile&) = delete;

    virtual const std::filesystem::path& path() const = 0;
    // In the order of the file.
    virtual const std::vector<std::string>& names() const = 0;
    // The next four throw if there is no tensor of that name; the message suggests the nearest one.
    virtual const Shape& shape(const std::string& name) const = 0;
    // As safetensors spells it; may be one that no Tensor can hold ("F8_E4M3").
    virtual const std::string& stored_dtype(const std::string& name) const = 0;
    // A copy in the memory of the device, in the dtype of the file. Throws if DType lacks that
    // dtype, and if the file became shorter since it was opened.
    virtual Tensor load(const std::string& name, Device& device) const = 0;
    // The mapped bytes themselves as a read-only tensor of a CPU device, which keeps the mapping
    // alive; a copy where the file does not hold them aligned and in row-major order.
    virtual Tensor view(const std::string& name, Device& cpu) const = 0;
};

// Opens PATH by its extension: .bin, .pt and .pth are PyTorch's, anything else is safetensors.
std::unique_ptr<TensorFile> open_tensor_file(const std::filesystem::path& path);

// The dtype with this name in files. Throws, naming file and tensor, if there is none.
DType dtype_of_stored(const std::string& stored, const std::filesystem::path& path,
                      const std::string& tensor);

}  // namespace vila
