// Fuzz target: reads any bytes as the index of a directory with two shards. They are refused with
// one line, or name exactly those shards.

#include "models/weight_files.h"
#include "tensor/cpu/cpu_device.h"
#include "tensor/file.h"
#include "tensor/safetensors.h"
#include "tests/fuzz/fuzz_file.h"

namespace {

// A directory with model-1.safetensors (tensor a) and model-2.safetensors (tensor b).
class Shards {
  public:
    Shards() {
        const auto device = vila::make_cpu_device(1);
        const vila::Tensor one = vila::Tensor::zeros(*device, {1}, vila::DType::F32);
        path_ = std::filesystem::temp_directory_path() /
                ("vila-fuzz-index-" + std::to_string(::getpid()));
        std::filesystem::create_directories(path_);
        vila::write_safetensors(path_ / "model-1.safetensors", {{"a", one}});
        vila::write_safetensors(path_ / "model-2.safetensors", {{"b", one}});
    }
    ~Shards() { std::filesystem::remove_all(path_); }
    Shards(const Shards&) = delete;
    Shards& operator=(const Shards&) = delete;

    // Writes these bytes as the index and returns the directory.
    const std::filesystem::path& with_index(std::string_view bytes) const {
        const std::filesystem::path index = path_ / "model.safetensors.index.json";
        std::filesystem::remove(index);
        index_ = std::make_unique<vila::fuzz::MemoryFile>(bytes);
        std::filesystem::create_symlink(index_->path(), index);
        return path_;
    }

  private:
    std::filesystem::path path_;
    mutable std::unique_ptr<vila::fuzz::MemoryFile> index_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const Shards shards;
    const auto& path = shards.with_index(vila::fuzz::text_of(data, size));
    vila::fuzz::expect_read_or_refused(path.string(), [&] {
        const vila::models::WeightFiles files(path);
        for (const std::string& name : files.names())
            if (name != "a" && name != "b") std::abort();
    });
    return 0;
}
