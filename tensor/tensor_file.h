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
    // The names of all tensors, in the order of the file.
    virtual const std::vector<std::string>& names() const = 0;
    // The functions below throw if there is no tensor of that name; the message suggests the
    // nearest one.
    virtual const Shape& shape(const std::string& name) const = 0;
    // The name that safetensors uses for the dtype, possibly one that no Tensor can have
    // ("F8_E4M3").
    virtual const std::string& stored_dtype(const std::string& name) const = 0;
    // Returns a copy in the memory of the device, with the dtype of the file. Throws if DType lacks
    // that dtype, or if the file became shorter after it was opened.
    virtual Tensor load(const std::string& name, Device& device) const = 0;
    // Returns the mapped bytes of the file as a read-only tensor of a CPU device, which keeps the
    // mapping alive. Returns a copy if the file does not hold them aligned and in row-major order.
    virtual Tensor view(const std::string& name, Device& cpu) const = 0;
};

// Opens PATH by its extension: .bin, .pt and .pth are PyTorch's, anything else is safetensors.
std::unique_ptr<TensorFile> open_tensor_file(const std::filesystem::path& path);

// The DType that safetensors calls `stored`. Throws, naming file and tensor, if there is none.
DType dtype_of_stored(const std::string& stored, const std::filesystem::path& path,
                      const std::string& tensor);

}  // namespace vila
