#include "tensor/tensor_file.h"

#include "tensor/safetensors.h"
#include "tensor/torch_file.h"

namespace vila {

std::unique_ptr<TensorFile> open_tensor_file(const std::filesystem::path& path) {
    const std::string extension = path.extension().string();
    if (extension == ".bin" || extension == ".pt" || extension == ".pth")
        return std::make_unique<TorchFile>(path);
    return std::make_unique<SafetensorsFile>(path);
}

}  // namespace vila
