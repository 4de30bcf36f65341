#include "models/convert.h"

#include "models/config_fields.h"
#include "models/part_weights.h"
#include "models/position_grid.h"
#include "models/vila.h"
#include "tensor/file.h"
#include "tensor/path_kind.h"
#include "tensor/safetensors.h"

namespace vila::models {

namespace fs = std::filesystem;

namespace {

constexpr const char* kPreprocessor = "preprocessor_config.json";
// transformers 5 nests the former in a field of the latter.
constexpr const char* kProcessor = "processor_config.json";
constexpr const char* kPositions = "vision_model.embeddings.position_embedding.weight";

// One conversion: the source, and the directory that it writes.
class Conversion {
  public:
    Conversion(const Layout& source, const fs::path& out, Device& device,
               const ConvertOptions& options)
        : source_(source),
          out_(out),
          options_(options),
          config_(model_config(source)),
          model_(config_, device, DType::F32),
          device_(device) {
        open(Part::Llm, model_.llm_table());
        if (!has_vision()) return;
        open(Part::VisionTower, model_.vision_table());
        open(Part::Projector, model_.projector_table());
    }

    void to_vila() const;
    void to_llava() const;
    void to_llava_hf() const;

  private:
    bool has_vision() const { return config_.vision.has_value(); }
    void open(Part part, const nn::ParameterTable& table) {
        weights_[part] = open_part(source_, part, table);
        for (const std::string& name : weights_[part]->names())
            if (!is_unused(part, name, table) || name.starts_with("vision_model.head."))
                written_[part].push_back(name);
    }

    DType stored_dtype(Part part) const {
        const PartWeights& weights = *weights_.at(part);
        return options_.dtype.value_or(weights.find(written_.at(part).front())->dtype());
    }
    // Appends the tensors of a part; name_of maps the name of a weight to its name in the file.
    void add(std::vector<PendingTensor>& tensors, Part part,
             const std::function<std::string(const std::string&)>& name_of) const;
    PendingTensor pending(Part part, const std::string& name) const;

    Json llm_json() const;
    Json vision_json() const;
    Json processor_json(int32_t image_token) const;
    std::string select_feature() const {
        return config_.select_class_token || !config_.vision->has_class_token() ? "cls_patch"
                                                                                : "patch";
    }
    const char* select_strategy() const { return select_feature() == "patch" ? "default" : "full"; }
    // Sets fields in configurations of the llava layouts that only this program reads.
    void set_own_fields(Json& json) const {
        json["image_aspect_ratio"] = config_.join_json(DType::F32).at("image_aspect_ratio");
        if (config_.chat_template.empty()) {
            json["fallback_chat_template"] = config_.fallback_template;
        } else {
            json["chat_template"] = config_.chat_template;
        }
    }
    void set_dtype(Json& json, Part part) const {
        json.erase("dtype");
        json["torch_dtype"] = torch_dtype_name(stored_dtype(part));
    }

    void write_json(const fs::path& name, const Json& json) const {
        fs::create_directories((out_ / name).parent_path());
        write_file_atomic(out_ / name, json.dump(2) + "\n");
    }
    int64_t bytes_of_weights() const;
    void write_weights(const fs::path& name, std::vector<PendingTensor> tensors) const {
        count_bytes(tensors);
        write_safetensors(out_ / name, std::move(tensors));
    }
    // Makes each tensor report to options.on_written.
    void count_bytes(std::vector<PendingTensor>& tensors) const;
    void write_llm_files(const fs::path& folder) const;
    void write_preprocessor(const fs::path& folder) const;
    void write_tower(const fs::path& folder) const;

    const Layout& source_;
    fs::path out_;
    const ConvertOptions& options_;
    VilaConfig config_;
    VilaModel model_;  // without values; its tables list the weights that the source must have
    Device& device_;
    std::map<Part, std::unique_ptr<PartWeights>> weights_;
    std::map<Part, std::vector<std::string>> written_;
    mutable int64_t bytes_done_ = 0;
};

std::string same_name(const std::string& name) {
    return name;
}

PendingTensor Conversion::pending(Part part, const std::string& name) const {
    const PartWeights::Stored& stored = *weights_.at(part)->find(name);
    const DType dtype = options_.dtype.value_or(stored.dtype());
    Shape shape = stored.file->shape(stored.name);
    if (name != kPositions || !options_.image_size)
        return {name, dtype, shape, [this, &stored, dtype] {
                    return stored.file->view(stored.name, device_).to(dtype);
                }};
    VisionConfig resized = *config_.vision;
    resized.image_size = *options_.image_size;
    shape[0] = resized.num_positions();
    return {name, dtype, shape, [this, &stored, dtype, resized] {
                const int64_t leading = resized.has_class_token() ? 1 : 0;
                const int64_t side = resized.image_size / resized.patch_size;
                return resize_position_grid(stored.file->view(stored.name, device_), leading, side)
                    .to(dtype);
            }};
}

int64_t Conversion::bytes_of_weights() const {
    int64_t bytes = 0;
    for (const auto& [part, names] : written_)
        for (const std::string& name : names) {
            const PendingTensor tensor = pending(part, name);
            bytes += tensor.shape.numel() * dtype_size(tensor.dtype);
        }
    return bytes;
}

void Conversion::count_bytes(std::vector<PendingTensor>& tensors) const {
    if (!options_.on_written) return;
    const int64_t total = bytes_of_weights();
    for (PendingTensor& tensor : tensors)
        tensor.make = [this, total, bytes = tensor.shape.numel() * dtype_size(tensor.dtype),
                       make = std::move(tensor.make)] {
            Tensor made = make();
            bytes_done_ += bytes;
            options_.on_written(bytes_done_, total);
            return made;
        };
}

void Conversion::add(std::vector<PendingTensor>& tensors, Part part,
                     const std::function<std::string(const std::string&)>& name_of) const {
    for (const std::string& name : written_.at(part)) {
        tensors.push_back(pending(part, name));
        tensors.back().name = name_of(name);
    }
}

Json Conversion::llm_json() const {
    const std::string& architecture = config_.llm.architecture;
    Json json = plain_llm_json(source_.part_config(Part::Llm).json);
    json["architectures"] = {architecture};
    json["model_type"] = config_.llm.to_json(DType::F32).at("model_type");
    // The files may hold an lm_head although the configuration ties it to the embeddings.
    if (json.contains("tie_word_embeddings"))
        json["tie_word_embeddings"] = config_.llm.tie_word_embeddings;
    set_dtype(json, Part::Llm);
    return json;
}

// A complete configuration, even if the source omits fields that equal a default.
Json Conversion::vision_json() const {
    const Json given = source_.part_config(Part::VisionTower).json;
    Json json = config_.vision->to_json(DType::F32);
    const Json forced = {{"architectures", json.at("architectures")},
                         {"model_type", json.at("model_type")}};
    json.update(given.contains("vision_config") ? given.at("vision_config") : given);
    json.update(forced);
    if (options_.image_size) json["image_size"] = *options_.image_size;
    if (!config_.vision->has_class_token()) {
        bool has_head = false;
        for (const std::string& name : written_.at(Part::VisionTower))
            has_head |= name.starts_with("vision_model.head.");
        json["vision_use_head"] = has_head;
    }
    set_dtype(json, Part::VisionTower);
    return json;
}

// The fields from which LlavaProcessor of transformers counts the tokens of an image. Its image
// processor has a file of its own, which every version reads.
Json Conversion::processor_json(int32_t image_token) const {
    return {{"processor_class", "LlavaProcessor"},
            {"image_token", options_.token_text ? options_.token_text(image_token) : "<image>"},
            {"patch_size", config_.vision->patch_size},
            {"num_additional_image_tokens", config_.vision->has_class_token() ? 1 : 0},
            {"vision_feature_select_strategy", select_strategy()}};
}

void Conversion::write_llm_files(const fs::path& folder) const {
    const fs::path from = source_.files_of(Part::Llm);
    for (const std::string& name : options_.companion_files)
        if (path_exists(from / name)) fs::copy_file(from / name, out_ / folder / name);
}

void Conversion::write_preprocessor(const fs::path& folder) const {
    const fs::path directory = source_.files_of(Part::VisionTower);
    const fs::path from = directory / kPreprocessor;
    Json json;
    if (path_exists(directory / kProcessor))
        json = read_json_file((directory / kProcessor).string()).value("image_processor", Json());
    if (json.is_null()) {
        if (!path_exists(from)) return;
        if (!options_.image_size) {
            fs::copy_file(from, out_ / folder / kPreprocessor);
            return;
        }
        json = read_json_file(from.string());
    }
    if (!options_.image_size) return write_json(folder / kPreprocessor, json);
    const int64_t side = *options_.image_size;
    for (const char* field : {"size", "crop_size"}) {
        if (!json.contains(field)) continue;
        if (json[field].is_object()) {
            for (auto& [key, value] : json[field].items()) value = side;
        } else {
            json[field] = side;
        }
    }
    write_json(folder / kPreprocessor, json);
}

void Conversion::write_tower(const fs::path& folder) const {
    write_json(folder / kConfigFile, vision_json());
    std::vector<PendingTensor> tensors;
    add(tensors, Part::VisionTower, same_name);
    write_weights(folder / kWeightsFile, std::move(tensors));
    write_preprocessor(folder);
}

void Conversion::to_vila() const {
    Json join = config_.join_json(stored_dtype(Part::Llm));
    // Fields that only other layouts use; they are kept so that the model can be converted back.
    const Json before = source_.join_config().json;
    for (const char* kept : {"image_token_index", "image_token_id", "mm_vision_tower"})
        if (before.contains(kept)) join[kept] = before.at(kept);
    write_json(kConfigFile, join);
    write_json(fs::path("llm") / kConfigFile, llm_json());
    std::vector<PendingTensor> llm;
    add(llm, Part::Llm, same_name);
    write_weights(fs::path("llm") / kWeightsFile, std::move(llm));
    write_llm_files("llm");
    if (!has_vision()) return;
    write_tower("vision_tower");
    write_json(fs::path("mm_projector") / kConfigFile,
               config_.projector.to_json(stored_dtype(Part::Projector)));
    std::vector<PendingTensor> projector;
    add(projector, Part::Projector, same_name);
    write_weights(fs::path("mm_projector") / kWeightsFile, std::move(projector));
}

void Conversion::to_llava() const {
    VILA_CHECK(has_vision(), "layout llava cannot hold a language model without a vision tower");
    VILA_CHECK(config_.llm.architecture == "LlamaForCausalLM",
               "layout llava cannot hold the language model ", config_.llm.architecture,
               ": only LlamaForCausalLM");
    VILA_CHECK(config_.vision->kind == VisionConfig::Kind::Clip,
               "layout llava cannot hold a SigLIP vision tower: only CLIP");
    const auto kind = config_.projector.kind;
    VILA_CHECK(kind == ProjectorConfig::Kind::Linear || kind == ProjectorConfig::Kind::Mlp2xGelu ||
                   kind == ProjectorConfig::Kind::Mlp3xGelu,
               "layout llava cannot hold the projector ", ProjectorConfig::kind_name(kind),
               ": only linear, mlp2x_gelu and mlp3x_gelu");
    VILA_CHECK(config_.image_mode != "resize",
               "layout llava cannot hold the image mode resize: only pad and crop");
    Json json = llm_json();
    json["architectures"] = {"LlavaLlamaForCausalLM"};
    json["model_type"] = "llava_llama";
    json["mm_hidden_size"] = config_.vision->hidden_size;
    json["mm_projector_type"] = ProjectorConfig::kind_name(kind);
    json["mm_vision_select_feature"] = select_feature();
    json["mm_vision_select_layer"] = config_.select_layer;
    json["mm_vision_tower"] = "vision_tower";
    json["mm_use_im_start_end"] = false;
    json["mm_use_im_patch_token"] = false;
    json["use_mm_proj"] = true;
    set_own_fields(json);
    write_json(kConfigFile, json);
    std::vector<PendingTensor> tensors;
    add(tensors, Part::Llm, same_name);
    add(tensors, Part::Projector, [](const std::string& name) {
        return "model.mm_projector." + without_prefix(name, "layers.").value_or(name);
    });
    write_weights(kWeightsFile, std::move(tensors));
    write_llm_files("");
    write_tower("vision_tower");
}

void Conversion::to_llava_hf() const {
    VILA_CHECK(has_vision(), "layout llava-hf cannot hold a language model without a vision tower");
    VILA_CHECK(config_.projector.kind == ProjectorConfig::Kind::Mlp2xGelu,
               "layout llava-hf cannot hold the projector ",
               ProjectorConfig::kind_name(config_.projector.kind), ": only mlp2x_gelu");
    const Json before = source_.join_config().json;
    Json image_token = before.value("image_token_index", Json());
    if (options_.image_token) image_token = *options_.image_token;
    VILA_CHECK(image_token.is_number_integer(),
               "layout llava-hf needs a token that stands for an image, and the tokenizer has no "
               "<image>: name one that no text uses with --image-token ID");
    VILA_CHECK(0 <= image_token && image_token < config_.llm.vocab_size, "image token ",
               image_token.dump(), " is outside the vocabulary of ", config_.llm.vocab_size,
               " tokens");
    VilaConfig resized = config_;
    if (options_.image_size) resized.vision->image_size = *options_.image_size;
    Json json = {
        {"architectures", {"LlavaForConditionalGeneration"}},
        {"model_type", "llava"},
        {"text_config", llm_json()},
        {"vision_config", vision_json()},
        {"image_token_index", image_token},
        {"image_seq_length", resized.image_layout().tile_tokens},
        {"vision_feature_layer", config_.select_layer},
        {"vision_feature_select_strategy", select_strategy()},
        {"projector_hidden_act", "gelu"},
        {"multimodal_projector_bias", true},
        {"tie_word_embeddings", config_.llm.tie_word_embeddings},
    };
    set_own_fields(json);
    set_dtype(json, Part::Llm);
    write_json(kConfigFile, json);
    std::vector<PendingTensor> tensors;
    add(tensors, Part::Llm, [](const std::string& name) { return "language_model." + name; });
    add(tensors, Part::VisionTower, [](const std::string& name) { return "vision_tower." + name; });
    add(tensors, Part::Projector, [](const std::string& name) {
        const bool is_first = name.starts_with("layers.0.");
        return std::string("multi_modal_projector.") + (is_first ? "linear_1." : "linear_2.") +
               name.substr(std::string("layers.0.").size());
    });
    write_weights(kWeightsFile, std::move(tensors));
    write_llm_files("");
    write_preprocessor("");
    write_json(kProcessor, processor_json(image_token.get<int32_t>()));
}

void check_image_size(const Layout& source, int64_t image_size) {
    VILA_CHECK(source.has(Part::VisionTower), "--image-size: the model has no vision tower");
    const VisionConfig vision = vision_config(source);
    VILA_CHECK(image_size >= vision.patch_size, "--image-size ", image_size,
               ": smaller than the tower's patch_size ", vision.patch_size);
}

}  // namespace

void convert_model(const Layout& source, const fs::path& destination, Device& device,
                   const ConvertOptions& options) {
    if (options.image_size) check_image_size(source, *options.image_size);
    AtomicDirectory output(destination);
    const Conversion conversion(source, output.path(), device, options);
    if (options.layout == "vila") {
        conversion.to_vila();
    } else if (options.layout == "llava") {
        conversion.to_llava();
    } else if (options.layout == "llava-hf") {
        conversion.to_llava_hf();
    } else {
        throw UsageError(str("layout ", options.layout, ": expected vila, llava or llava-hf"));
    }
    output.commit();
}

}  // namespace vila::models
