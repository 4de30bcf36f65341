#include "models/model_directory.h"

#include "tensor/cpu/cpu_device.h"
#include "tensor/file.h"
#include "tensor/safetensors.h"

namespace vila::models {

namespace fs = std::filesystem;

namespace {

constexpr const char* kLlm = "llm";
constexpr const char* kVisionTower = "vision_tower";
constexpr const char* kProjector = "mm_projector";

void write_text(const fs::path& path, const std::string& text) {
    fs::create_directories(path.parent_path());
    write_file_atomic(path, text);
}

void write_part(const fs::path& directory, const Json& config, const nn::ParameterTable& table,
                DType dtype) {
    write_text(directory / kConfigFile, config.dump(2) + "\n");
    save_weights(directory, table, dtype);
}

void copy_part(const fs::path& directory, const Json& config, const nn::ParameterTable& table,
               const PartWeights& from) {
    const auto cpu = make_cpu_device(1);
    std::vector<PendingTensor> tensors;
    for (const nn::Parameter& parameter : table) {
        const PartWeights::Stored& stored = *from.find(parameter.name);
        tensors.push_back({parameter.name, stored.dtype(), parameter.shape,
                           [&stored, &cpu] { return stored.file->view(stored.name, *cpu); }});
    }
    write_text(directory / kConfigFile, config.dump(2) + "\n");
    write_safetensors(directory / kWeightsFile, std::move(tensors));
}

}  // namespace

fs::path llm_directory(const fs::path& directory) {
    return open_layout(directory)->files_of(Part::Llm);
}

fs::path vision_directory(const fs::path& directory) {
    return open_layout(directory)->files_of(Part::VisionTower);
}

LlamaConfig read_llm_config(const fs::path& directory) {
    return llm_config(*open_layout(directory));
}

VisionConfig read_vision_config(const fs::path& directory) {
    return vision_config(*open_layout(directory));
}

ProjectorConfig read_projector_config(const fs::path& directory) {
    return projector_config(*open_layout(directory));
}

VilaConfig read_model_config(const fs::path& directory) {
    return model_config(*open_layout(directory));
}

std::unique_ptr<VilaModel> load_model(const fs::path& directory, Device& device, DType dtype,
                                      WeightMemory memory) {
    const std::unique_ptr<Layout> layout = open_layout(directory);
    auto model = std::make_unique<VilaModel>(model_config(*layout), device, dtype);
    load_part(*layout, Part::Llm, model->llm_table(), device, dtype, memory);
    if (!model->has_vision()) return model;
    load_part(*layout, Part::VisionTower, model->vision_table(), device, dtype, memory);
    load_part(*layout, Part::Projector, model->projector_table(), device, dtype, memory);
    return model;
}

int64_t converted_bytes(const fs::path& directory, DType dtype) {
    const std::unique_ptr<Layout> layout = open_layout(directory);
    model_config(*layout);  // report an invalid configuration before missing weights
    int64_t bytes = 0;
    for (const Part part : {Part::Llm, Part::VisionTower, Part::Projector}) {
        if (!layout->has(part)) continue;
        const PartWeights weights(layout->weights(part), part);
        for (const std::string& name : weights.names()) {
            const PartWeights::Stored& stored = *weights.find(name);
            // Integer buffers are not loaded. Tensor may not even support their dtype.
            const std::string& type = stored.file->stored_dtype(stored.name);
            if (type != "F64" && type != "F32" && type != "F16" && type != "BF16") continue;
            if (stored.dtype() == dtype) continue;
            bytes += stored.file->shape(stored.name).numel() * dtype_size(dtype);
        }
    }
    return bytes;
}

void load_llm_weights(const fs::path& directory, nn::ParameterTable& table, Device& device,
                      DType dtype) {
    load_part(*open_layout(directory), Part::Llm, table, device, dtype, WeightMemory::Own);
}

void load_vision_weights(const fs::path& directory, nn::ParameterTable& table, Device& device,
                         DType dtype) {
    load_part(*open_layout(directory), Part::VisionTower, table, device, dtype, WeightMemory::Own);
}

void load_projector_weights(const fs::path& directory, nn::ParameterTable& table, Device& device,
                            DType dtype) {
    load_part(*open_layout(directory), Part::Projector, table, device, dtype, WeightMemory::Own);
}

void save_model(const VilaModel& model, const fs::path& directory, DType dtype,
                const std::vector<ExtraFile>& extra_files, const PartFiles& unchanged) {
    AtomicDirectory output(directory);
    const VilaConfig& config = model.config();
    write_text(output.path() / kConfigFile, config.join_json(dtype).dump(2) + "\n");
    const auto write = [&](Part part, const char* folder, const auto& part_config,
                           const nn::ParameterTable& table) {
        const auto from = unchanged.find(part);
        if (from == unchanged.end())
            return write_part(output.path() / folder, part_config.to_json(dtype), table, dtype);
        const DType stored = from->second->find(table.begin()->name)->dtype();
        copy_part(output.path() / folder, part_config.to_json(stored), table, *from->second);
    };
    write(Part::Llm, kLlm, config.llm, model.llm_table());
    if (model.has_vision()) {
        write(Part::VisionTower, kVisionTower, *config.vision, model.vision_table());
        write(Part::Projector, kProjector, config.projector, model.projector_table());
    }
    for (const ExtraFile& file : extra_files) write_text(output.path() / file.name, file.bytes);
    output.commit();
}

void save_vision_tower(const VisionConfig& config, const nn::ParameterTable& table,
                       const fs::path& directory, DType dtype,
                       const std::vector<ExtraFile>& extra_files) {
    AtomicDirectory output(directory);
    const Json join = {{"model_type", "llava_llama"}, {"parts", Json::array({kVisionTower})}};
    write_text(output.path() / kConfigFile, join.dump(2) + "\n");
    write_part(output.path() / kVisionTower, config.to_json(dtype), table, dtype);
    for (const ExtraFile& file : extra_files) write_text(output.path() / file.name, file.bytes);
    output.commit();
}

}  // namespace vila::models
