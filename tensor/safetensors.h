#pragma once

// The safetensors file format: named tensors behind a JSON header. The reader is strict: anything
// that the specification forbids is refused with one line that names the file and the tensor,
// before memory is allocated for it. The JSON of the header is read by a parser that knows only
// this schema (safetensors_header.h): no nesting beyond it, no duplicate keys, no signs, no
// fractions. Like the reference reader it accepts JSON whitespace around the header.
//
// Shard indexes and model layouts are read elsewhere (models/weight_files.h, models/layout.h).

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tensor/file.h"
#include "tensor/safetensors_header.h"
#include "tensor/tensor_file.h"

namespace vila {

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

class SafetensorsFile : public TensorFile {
  public:
    // Reads and checks the header; the tensors stay on disk.
    explicit SafetensorsFile(const std::filesystem::path& path);

    const std::filesystem::path& path() const override { return file_->path(); }
    // In the order of their data in the file.
    const std::vector<std::string>& names() const override { return header_.names; }
    const Shape& shape(const std::string& name) const override { return info(name).shape; }
    const std::string& stored_dtype(const std::string& name) const override {
        return info(name).dtype;
    }
    bool contains(const std::string& name) const { return header_.tensors.contains(name); }
    // Throws if there is no tensor of that name; the message suggests the nearest one.
    const TensorInfo& info(const std::string& name) const;
    const std::map<std::string, std::string>& metadata() const { return header_.metadata; }

    Tensor load(const std::string& name, Device& device) const override;
    Tensor view(const std::string& name, Device& cpu) const override;

  private:
    std::shared_ptr<RandomAccessFile> file_;
    int64_t data_begin_ = 0;  // where the data starts in the file
    SafetensorsHeader header_;
};

// A tensor that is created just before it is written, so that not all are in memory at once.
struct PendingTensor {
    std::string name;
    DType dtype = DType::F32;
    Shape shape;
    std::function<Tensor()> make;  // of that dtype and shape
};

// Writes the tensors, from any device, in the order and layout of the reference writer (widest
// types first, then by name; header padded to 8 bytes), through a temporary file and a rename, so
// that a reader which has the older file mapped keeps it. "format" = "pt" is added to `metadata`
// unless it is there. Throws on a name used twice, an undefined tensor or a full disk.
void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                       std::map<std::string, std::string> metadata = {});
void write_safetensors(const std::filesystem::path& path, std::vector<PendingTensor> tensors,
                       std::map<std::string, std::string> metadata = {});

}  // namespace vila
