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

ModelDirectory::ModelDirectory(fs::path path, const LayoutOptions& options)
    : path_(std::move(path)), layout_(open_layout(path_, options)) {}

std::unique_ptr<VilaModel> ModelDirectory::load(Device& device, DType dtype,
                                                WeightMemory memory) const {
    auto model = std::make_unique<VilaModel>(config(), device, dtype);
    const auto load = [&](Part part, nn::ParameterTable& table) {
        models::load_part(*layout_, part, table, device, dtype, memory);
    };
    load(Part::Llm, model->llm_table());
    if (!model->has_vision()) return model;
    load(Part::VisionTower, model->vision_table());
    load(Part::Projector, model->projector_table());
    return model;
}

void ModelDirectory::load_part(Part part, nn::ParameterTable& table, Device& device,
                               DType dtype) const {
    models::load_part(*layout_, part, table, device, dtype, WeightMemory::Own);
}

int64_t ModelDirectory::converted_bytes(DType dtype) const {
    config();  // report an invalid configuration before missing weights
    int64_t bytes = 0;
    for (const Part part : {Part::Llm, Part::VisionTower, Part::Projector}) {
        if (!layout_->has(part)) continue;
        const PartWeights weights(layout_->weights(part), part);
        for (const std::string& name : weights.names()) {
            const PartWeights::Stored& stored = *weights.find(name);
            // Integer buffers are not loaded, and Tensor may not support their dtype.
            const std::string& type = stored.file->stored_dtype(stored.name);
            if (type != "F64" && type != "F32" && type != "F16" && type != "BF16") continue;
            if (stored.dtype() == dtype) continue;
            bytes += stored.file->shape(stored.name).numel() * dtype_size(dtype);
        }
    }
    return bytes;
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
