#include "tensor/tensor_file.h"

#include <algorithm>

#include "tensor/file.h"
#include "tensor/lfs_pointer.h"
#include "tensor/safetensors.h"
#include "tensor/torch_file.h"

namespace vila {

namespace {

void check_head(const std::filesystem::path& path) {
    const RandomAccessFile file(path);
    std::string head(std::min<int64_t>(file.size(), 64), '\0');
    file.read_at(0, head.data(), static_cast<int64_t>(head.size()));
    refuse_lfs_pointer(head, path);
}

}  // namespace

std::unique_ptr<TensorFile> open_tensor_file(const std::filesystem::path& path) {
    check_head(path);
    const std::string extension = path.extension().string();
    if (extension == ".bin" || extension == ".pt" || extension == ".pth")
        return std::make_unique<TorchFile>(path);
    return std::make_unique<SafetensorsFile>(path);
}

}  // namespace vila
