#include "tools/report/inspect.h"
#include "tools/base/model_template.h"

#include <algorithm>
#include <cstdio>

#include "models/model_directory.h"
#include "models/part_weights.h"
#include "models/projector.h"
#include "models/vit.h"
#include "tensor/cpu/cpu_device.h"
#include "tensor/file.h"
#include "tensor/json.h"
#include "tensor/path_kind.h"
#include "tensor/safetensors.h"
#include "tensor/shortened.h"
#include "tools/train/checkpoint.h"

namespace vila::tools {

namespace {

namespace fs = std::filesystem;

std::string count_text(double count) {
    char text[32];
    if (count >= 1e9) {
        std::snprintf(text, sizeof text, "%.2f G", count / 1e9);
    } else if (count >= 1e6) {
        std::snprintf(text, sizeof text, "%.2f M", count / 1e6);
    } else {
        std::snprintf(text, sizeof text, "%.0f", count);
    }
    return text;
}

std::string line(const char* label, const std::string& value) {
    char text[32];
    std::snprintf(text, sizeof text, "%-18s", label);
    return std::string(text) + value + "\n";
}

std::string describe_llm(const models::LlamaConfig& llm) {
    return line(
        "language model",
        str(llm.architecture, ": ", llm.num_hidden_layers, " layers, width ", llm.hidden_size, ", ",
            llm.num_attention_heads, " query and ", llm.num_key_value_heads, " key heads of ",
            llm.head_dim, ", FFN ", llm.intermediate_size, ", vocabulary ", llm.vocab_size, ", ",
            llm.max_position_embeddings, " positions"));
}

std::string tower_text(const models::VisionConfig& vision) {
    const bool clip = vision.kind == models::VisionConfig::Kind::Clip;
    return str(clip ? "CLIPVisionModel" : "SiglipVisionModel", ": ", vision.num_hidden_layers,
               " layers, width ", vision.hidden_size, ", images ", vision.image_size,
               " px, patches ", vision.patch_size, " px");
}

std::string describe_vision(const models::VilaConfig& config) {
    const models::ImageLayout layout = config.image_layout();
    return line("vision tower",
                str(tower_text(*config.vision), ", hidden state ", config.select_layer,
                    config.select_class_token ? " with" : " without", " class token")) +
           line("projector",
                str(models::ProjectorConfig::kind_name(config.projector.kind), ", ",
                    layout.tile_features, " features -> ", layout.tile_tokens,
                    " tokens an image, token order ",
                    models::ProjectorConfig::order_name(config.projector.token_order)));
}

// Returns the name of the model's chat template, or why it cannot be used.
std::string template_text(const models::ModelDirectory& directory,
                          const models::VilaConfig& config) {
    try {
        return model_template(directory, config).name();
    } catch (const Error& error) {
        return "cannot be used: " + shortened(error.what());
    }
}

std::string describe_tower(const models::ModelDirectory& directory) {
    const models::VisionConfig config = directory.vision_config();
    const auto device = make_cpu_device();
    nn::ParameterTable table;
    const models::Vit tower(config, table);
    directory.load_part(models::Part::VisionTower, table, *device, DType::F32);
    return line("vision tower", tower_text(config)) +
           line("parameters", count_text(static_cast<double>(table.count())));
}

// Checks the weights too if the configuration has the widths, which older ones lack.
std::string describe_projector(const models::ModelDirectory& directory) {
    const models::ProjectorConfig config = directory.projector_config();
    const std::string order = models::ProjectorConfig::order_name(config.token_order);
    std::string text = models::ProjectorConfig::kind_name(config.kind);
    if (config.mm_hidden_size > 0 && config.hidden_size > 0) {
        nn::ParameterTable table;
        const models::Projector projector(config, table);
        models::open_part(directory.layout(), models::Part::Projector, table);
        text += str(", width ", config.mm_hidden_size, " -> ", config.hidden_size);
    }
    const auto sources = directory.layout().weights(models::Part::Projector);
    const models::PartWeights weights(sources, models::Part::Projector);
    double count = 0;
    for (const std::string& name : weights.names()) {
        const models::PartWeights::Stored& stored = *weights.find(name);
        count += static_cast<double>(stored.file->shape(stored.name).numel());
    }
    return line("projector", str(text, ", token order ", order)) +
           line("parameters", count_text(count));
}

}  // namespace

bool is_safetensors(const fs::path& path) {
    if (!file_exists(path)) return false;
    const RandomAccessFile file(path);
    unsigned char head[9];
    if (file.size() < int64_t{sizeof head}) return false;
    file.read_at(0, head, sizeof head);
    uint64_t length = 0;
    for (int i = 7; i >= 0; --i) length = length << 8 | head[i];
    return head[8] == '{' && length <= static_cast<uint64_t>(file.size()) - 8;
}

std::string describe_safetensors(const fs::path& path) {
    const SafetensorsFile file(path);
    std::string text;
    double values = 0, bytes = 0;
    for (const std::string& name : file.names()) {
        const TensorInfo& info = file.info(name);
        char columns[96];
        std::snprintf(columns, sizeof columns, " %-8s %-20s %12lld bytes\n", info.dtype.c_str(),
                      str(info.shape).c_str(), static_cast<long long>(info.end - info.begin));
        std::string label = one_line(name);
        label.resize(std::max<size_t>(label.size(), 64), ' ');
        text += label + columns;
        values += static_cast<double>(info.shape.numel());
        bytes += static_cast<double>(info.end - info.begin);
    }
    text += str(file.names().size(), " tensors, ", count_text(values), " values, ",
                count_text(bytes), "B\n");
    for (const auto& [key, value] : file.metadata())
        text += str("metadata ", one_line(key), ": ", one_line(value), "\n");
    return text;
}

std::string describe_model(const fs::path& directory) {
    // Reads the headers of the files, and compares names and shapes of all weights with them.
    const models::ModelDirectory opened(directory);
    if (!opened.layout().has(models::Part::Llm))
        return opened.layout().has(models::Part::Projector) ? describe_projector(opened)
                                                            : describe_tower(opened);
    const auto device = make_cpu_device(1);
    models::VilaModel model(opened.config(), *device, DType::F32);
    models::open_part(opened.layout(), models::Part::Llm, model.llm_table());
    if (model.has_vision()) {
        models::open_part(opened.layout(), models::Part::VisionTower, model.vision_table());
        models::open_part(opened.layout(), models::Part::Projector, model.projector_table());
    }
    const models::VilaConfig& config = model.config();
    std::string text = describe_llm(config.llm);
    if (model.has_vision()) text += describe_vision(config) + line("image mode", config.image_mode);
    text += line("chat template", template_text(opened, config));
    const auto count = [](const nn::ParameterTable& table) {
        return count_text(static_cast<double>(table.count()));
    };
    text += line("parameters", str("llm ", count(model.llm_table()), ", projector ",
                                   count(model.projector_table()), ", vision tower ",
                                   count(model.vision_table())));
    return text;
}

std::string describe_checkpoint(const fs::path& directory, bool verify) {
    const Json manifest = read_json_file((directory / "manifest.json").string());
    std::string text;
    for (const auto& [key, value] : manifest.items())
        if (key != "tensors") text += line(one_line(key).c_str(), value.dump());
    if (manifest.contains("tensors"))
        text += line("tensors", std::to_string(manifest["tensors"].size()));
    if (verify) {
        const auto device = make_cpu_device();
        load_checkpoint(directory, *device);
        text += line("verified", "every byte agrees with its hash");
    }
    return text;
}

}  // namespace vila::tools
