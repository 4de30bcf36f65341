#include "models/foreign_directory.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "models/config_fields.h"
#include "models/weight_files.h"
#include "tensor/check.h"
#include "tensor/json.h"
#include "tensor/path_kind.h"

namespace vila::models {

namespace fs = std::filesystem;

namespace {

constexpr const char* kAdapterConfig = "adapter_config.json";
constexpr const char* kAdapterWeights[] = {"adapter_model.safetensors", "adapter_model.bin"};
// Written by LLaVA's LoRA training for the projector.
constexpr const char* kLlavaAdapter = "non_lora_trainables.bin";
constexpr const char* kPlainWeights =
    ": only weights in f32, bf16 and f16 are read; use the original model that was quantized";

bool is_hub_name(const std::string& path) {
    const auto is_plain = [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.';
    };
    const size_t slash = path.find('/');
    if (slash == 0 || slash == std::string::npos || slash + 1 == path.size()) return false;
    return path[0] != '.' && std::ranges::all_of(path.substr(0, slash), is_plain) &&
           std::ranges::all_of(path.substr(slash + 1), is_plain);
}

// Returns the name of a file in the directory with this extension; empty if there is none.
std::string file_with_extension(const fs::path& directory, const char* extension) {
    for (const fs::directory_entry& entry : fs::directory_iterator(directory))
        if (entry.path().extension() == extension) return entry.path().filename().string();
    return "";
}

void refuse_file(const fs::path& path) {
    const std::string extension = path.extension().string();
    VILA_CHECK(extension != ".gguf", path.string(),
               ": a GGUF file, the format of llama.cpp: give the directory of the model that it "
               "was made from");
    VILA_CHECK(directory_exists(path), path.string(), ": not a model directory: it is a file");
}

void refuse_missing(const fs::path& path) {
    if (path_exists(path)) return;
    const std::string name = path.string();
    VILA_CHECK(!is_hub_name(name), name,
               ": not a model directory: it does not exist, and nothing is fetched from a hub; if "
               "it is a name on Hugging Face, run `hf download ",
               name, " --local-dir DIR` and give DIR");
    throw Error(str(name, ": not a model directory: it does not exist"));
}

// Returns the base model that an adapter names, as " for NAME"; empty if it names none.
std::string base_of(const fs::path& directory) {
    const fs::path file = directory / kAdapterConfig;
    if (!path_exists(file)) return "";
    const Json config = read_json_file(file.string());
    if (!config.is_object()) return "";
    const Json name = config.value("base_model_name_or_path", Json());
    return name.is_string() ? str(" for ", one_line(name.get<std::string>())) : "";
}

void refuse_adapter(const fs::path& directory) {
    std::string file = path_exists(directory / kAdapterConfig) ? kAdapterConfig : "";
    for (const char* weights : kAdapterWeights)
        if (file.empty() && path_exists(directory / weights)) file = weights;
    if (file.empty()) return;
    const std::string what = str(directory.string(), ": holds ", file);
    VILA_CHECK(!path_exists(directory / kLlavaAdapter), what, " and ", kLlavaAdapter,
               ", a LoRA adapter of LLaVA", base_of(directory),
               ", not a whole model: merge it with LLaVA's scripts/merge_lora_weights.py and give "
               "the result");
    VILA_CHECK(WeightFiles::present(directory), what, ", a LoRA adapter", base_of(directory),
               ", not a whole model: merge it into its base model (merge_and_unload of peft) and "
               "give the result");
    throw Error(str(what, ", a LoRA adapter", base_of(directory),
                    ", beside whole weights, which would be read without it: merge it "
                    "(merge_and_unload of peft), or move its files elsewhere if it is merged"));
}

// Older tools describe quantized weights in a file of their own.
void refuse_quantization_files(const fs::path& directory) {
    for (const auto& [file, method] :
         {std::pair("quantize_config.json", "GPTQ"), std::pair("quant_config.json", "AWQ")})
        VILA_CHECK(!path_exists(directory / file), directory.string(), ": holds ", file,
                   ": the weights are quantized (", method, ")", kPlainWeights);
}

void refuse_other_formats(const fs::path& directory) {
    if (path_exists(directory / kConfigFile) || path_exists(directory / "llm" / kConfigFile))
        return;
    const std::string what = directory.string();
    const std::string gguf = file_with_extension(directory, ".gguf");
    VILA_CHECK(gguf.empty(), what, ": holds ", gguf,
               ", a GGUF file, the format of llama.cpp: give the directory of the model that it "
               "was made from");
    VILA_CHECK(!path_exists(directory / "params.json"), what,
               ": holds params.json, a model in Meta's own format: give its Hugging Face form "
               "(transformers has convert_llama_weights_to_hf.py)");
    VILA_CHECK(!directory_exists(directory / "snapshots"), what,
               ": a cache of the Hugging Face hub: give one of the directories in ",
               (directory / "snapshots").string());
}

// A demo, a run or a checkpoint of `vila train`, in place of the model in it.
void refuse_training_files(const fs::path& directory) {
    if (path_exists(directory / kConfigFile) || path_exists(directory / "llm" / kConfigFile))
        return;
    const std::string what = directory.string() + ": not a model directory: it is ";
    const fs::path model = directory / "model", checkpoints = directory / "checkpoints";
    const char* kind = path_exists(directory / "recipe.toml") ? "a run" : "a folder with a model";
    VILA_CHECK(!path_exists(model / kConfigFile), what, kind, ": give ", model.string());
    VILA_CHECK(!path_exists(directory / "manifest.json"), what,
               "a checkpoint of a run: write its model with `vila export ", directory.string(),
               " DIR` and give DIR");
    VILA_CHECK(!directory_exists(checkpoints), what,
               "a run that has not finished: write the model of a checkpoint with `vila export ",
               (checkpoints / "step-N").string(), " DIR` and give DIR");
}

}  // namespace

void refuse_foreign_directory(const fs::path& path) {
    refuse_missing(path);
    refuse_file(path);
    refuse_other_formats(path);
    refuse_training_files(path);
    for (const fs::path& directory : {path, path / "llm"}) {
        refuse_adapter(directory);
        refuse_quantization_files(directory);
    }
}

void refuse_unknown_model(const SourcedJson& config) {
    architecture_of(JsonFields(config.json, config.where), language_models(), kOpens);
}

void refuse_quantized(const Json& config, const std::string& where) {
    for (const char* field : {"quantization_config", "compression_config"}) {
        const auto found = config.find(field);
        if (found == config.end() || !found->is_object()) continue;
        const Json method = found->value("quant_method", Json());
        const bool is_bits = found->contains("load_in_4bit") || found->contains("load_in_8bit");
        const std::string name = method.is_string() ? one_line(method.get<std::string>())
                                 : is_bits          ? "bitsandbytes"
                                                    : "of an unnamed method";
        throw Error(str(where, ": field ", field, ": the weights are quantized (", name, ")",
                        kPlainWeights));
    }
}

std::string foreign_tensor_hint(const std::string& name) {
    struct Kind {
        const char* part;
        const char* belongs;
    };
    constexpr Kind kKinds[] = {
        {".lora_", "a LoRA adapter: merge it into its base model"},
        {".qweight", "weights quantized by AWQ or GPTQ"},
        {".qzeros", "weights quantized by AWQ or GPTQ"},
        {".g_idx", "weights quantized by GPTQ"},
        {".SCB", "weights quantized by bitsandbytes"},
        {".absmax", "weights quantized by bitsandbytes"},
        {".quant_map", "weights quantized by bitsandbytes"},
        {".weight_packed", "weights quantized by compressed-tensors"},
        {".weight_scale", "weights quantized to 8 bits"},
        {".input_scale", "weights quantized to 8 bits"},
    };
    for (const Kind& kind : kKinds)
        if (name.find(kind.part) != std::string::npos)
            return str("; this tensor belongs to ", kind.belongs);
    return "";
}

}  // namespace vila::models
