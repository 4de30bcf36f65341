#pragma once

// PyTorch's weight files (torch.save since version 1.6): a zip archive with a pickle that describes
// tensors and one member of raw bytes for each storage. Read without ever running the pickle
// (torch_pickle.h). Files from before 1.6, and files that hold anything but a dictionary of
// tensors, are refused.

#include <map>

#include "tensor/tensor_file.h"
#include "tensor/torch_pickle.h"
#include "tensor/zip_file.h"

namespace vila {

class TorchFile : public TensorFile {
  public:
    // Reads the directory of the archive and the pickle, and checks every tensor against its
    // storage.
    explicit TorchFile(const std::filesystem::path& path);

    const std::filesystem::path& path() const override { return file_->path(); }
    const std::vector<std::string>& names() const override { return names_; }
    const Shape& shape(const std::string& name) const override { return at(name).shape; }
    const std::string& stored_dtype(const std::string& name) const override {
        return at(name).dtype;
    }
    Tensor load(const std::string& name, Device& device) const override;
    Tensor view(const std::string& name, Device& cpu) const override;

  private:
    const PickledTensor& at(const std::string& name) const;
    // The offset of the storage of the tensor in the file.
    int64_t storage_begin(const PickledTensor& tensor) const;

    std::shared_ptr<RandomAccessFile> file_;
    std::string top_;  // the archive's one directory, with a slash
    std::unique_ptr<ZipFile> zip_;
    std::map<std::string, PickledTensor> tensors_;
    std::vector<std::string> names_;
};

}  // namespace vila
