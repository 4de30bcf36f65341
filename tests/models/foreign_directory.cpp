// Paths that are not a readable model directory: the error says in one line what each is, and the
// fix.

#include "models/foreign_directory.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "models/weight_files.h"
#include "tensor/file.h"
#include "tests/support/temporary_directory.h"

namespace vila::models {
namespace {

namespace fs = std::filesystem;

class ForeignDirectoryTest : public testing::Test {
  protected:
    void write(const std::string& name, const std::string& text = "{}") {
        fs::create_directories((path / name).parent_path());
        write_file_atomic(path / name, text);
    }
    // Returns the error without the path in front.
    std::string refusal(const fs::path& target) {
        try {
            llm_config(*open_layout(target));
        } catch (const Error& error) {
            const std::string message = error.what();
            EXPECT_EQ(message.find('\n'), std::string::npos) << message;
            EXPECT_TRUE(message.starts_with(target.string())) << message;
            return message.substr(std::min(message.size(), target.string().size()));
        }
        return "";
    }
    void expect_refusal(const std::string& words) {
        EXPECT_NE(refusal(path).find(words), std::string::npos) << refusal(path);
        fs::remove_all(path);
        fs::create_directories(path);
    }

    TemporaryDirectory directory;
    fs::path path = directory.path() / "model";
};

TEST_F(ForeignDirectoryTest, NamesAHubName) {
    EXPECT_NE(refusal("llava-hf/llava-1.5-7b-hf")
                  .find("run `hf download llava-hf/llava-1.5-7b-hf --local-dir DIR`"),
              std::string::npos);
    EXPECT_EQ(refusal("./a/b"), ": not a model directory: it does not exist");
    write("snapshots/0123/config.json");
    expect_refusal(": a cache of the Hugging Face hub: give one of the directories in");
}

TEST_F(ForeignDirectoryTest, NamesFilesOfOtherPrograms) {
    write("model.Q4_K_M.gguf", "GGUF");
    EXPECT_NE(refusal(path / "model.Q4_K_M.gguf").find("a GGUF file"), std::string::npos);
    expect_refusal(": holds model.Q4_K_M.gguf, a GGUF file");
    write("params.json");
    expect_refusal(": holds params.json, a model in Meta's own format");
    write("model.safetensors");
    EXPECT_EQ(refusal(path / "model.safetensors"), ": not a model directory: it is a file");
    write("config.json", "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 12\n");
    expect_refusal("config.json: a Git LFS pointer, not the file itself: fetch it with `git lfs");
}

TEST_F(ForeignDirectoryTest, PointsToTheModelOfARun) {
    write("model/config.json");
    write("recipe.toml", "");
    write("checkpoints/latest", "");
    expect_refusal(": not a model directory: it is a run: give " + (path / "model").string());
    write("model/config.json");
    expect_refusal(": it is a folder with a model: give " + (path / "model").string());
    write("checkpoints/latest", "");
    expect_refusal(
        ": it is a run that has not finished: write the model of a checkpoint with `vila "
        "export " +
        (path / "checkpoints/step-N").string() + " DIR`");
    write("manifest.json");
    expect_refusal(": it is a checkpoint of a run: write its model with `vila export " +
                   path.string() + " DIR` and give DIR");
}

TEST_F(ForeignDirectoryTest, NamesAnAbsentPart) {
    write("config.json", R"({"architectures": ["LlavaLlamaForCausalLM"]})");
    const fs::path absent = directory.path() / "absent";
    for (const LayoutOptions& options : {LayoutOptions{absent, {}}, LayoutOptions{{}, absent}}) {
        try {
            open_layout(path, options);
            ADD_FAILURE();
        } catch (const Error& error) {
            EXPECT_EQ(error.what(), absent.string() + ": not a model directory: it does not exist");
        }
    }
}

TEST_F(ForeignDirectoryTest, NamesAdapters) {
    const char* config = R"({"base_model_name_or_path": "a/base", "peft_type": "LORA"})";
    write("adapter_config.json", config);
    write("adapter_model.safetensors");
    expect_refusal(": holds adapter_config.json, a LoRA adapter for a/base, not a whole model");
    write("adapter_config.json", config);
    write("non_lora_trainables.bin");
    write("config.json", R"({"architectures": ["LlavaLlamaForCausalLM"]})");
    expect_refusal("a LoRA adapter of LLaVA for a/base, not a whole model: merge it");
    for (const char* folder : {"", "llm/"}) {
        write(std::string(folder) + "config.json");
        write("config.json");
        write(std::string(folder) + "model.safetensors");
        write(std::string(folder) + "adapter_model.bin");
        expect_refusal("holds adapter_model.bin, a LoRA adapter, beside whole weights");
    }
}

TEST_F(ForeignDirectoryTest, NamesQuantizedWeights) {
    for (const char* method : {"awq", "gptq", "bitsandbytes", "fp8", "compressed-tensors"}) {
        const Json config = {{"quantization_config", {{"quant_method", method}}}};
        for (const char* more : {"LlamaForCausalLM", "LlavaForConditionalGeneration"}) {
            Json json = config;
            json["architectures"] = {more};
            write("config.json", json.dump());
            expect_refusal(str("field quantization_config: the weights are quantized (", method));
        }
    }
    write("config.json");
    write("quantize_config.json");
    expect_refusal(": holds quantize_config.json: the weights are quantized (GPTQ)");
    EXPECT_EQ(foreign_tensor_hint("model.layers.0.mlp.up_proj.qweight"),
              "; this tensor belongs to weights quantized by AWQ or GPTQ");
    EXPECT_EQ(foreign_tensor_hint("model.norm.weight"), "");
}

TEST_F(ForeignDirectoryTest, ListsWhatOpens) {
    for (const char* type : {"llava_next", "qwen2_vl", "paligemma", "internvl_chat"}) {
        write("config.json", Json{{"model_type", type}}.dump());
        expect_refusal(
            str("config.json: model_type ", type, " is not implemented; expected ", kOpens));
    }
}

TEST_F(ForeignDirectoryTest, NamesAPartWithoutALanguageModel) {
    for (const char* type : {"clip_vision_model", "siglip_vision_model", "clip", "siglip"}) {
        write("config.json", Json{{"model_type", type}}.dump());
        EXPECT_TRUE(open_layout(path)->has(Part::VisionTower));
        EXPECT_FALSE(open_layout(path)->has(Part::Llm));
        expect_refusal(": holds only a vision tower; this needs a language model too: give a");
    }
    // As a run of stage clip leaves it.
    write("config.json", R"({"model_type": "llava_llama", "parts": ["vision_tower"]})");
    write("vision_tower/config.json");
    expect_refusal(": holds only a vision tower; ");
    write("config.json", R"({"model_type": "v2l_projector", "mm_projector_type": "linear"})");
    expect_refusal(": holds only a projector; ");
    write("config.json", R"({"model_type": "mistral"})");
    write("vision_tower/config.json");
    EXPECT_FALSE(open_layout(path)->has(Part::Projector));
}

TEST_F(ForeignDirectoryTest, NamesAPointerInPlaceOfWeights) {
    for (const char* name : {"model.safetensors", "pytorch_model.bin"}) {
        write(name, "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 99\n");
        try {
            const WeightFiles files(path);
            ADD_FAILURE();
        } catch (const Error& error) {
            EXPECT_EQ(std::string(error.what()).find((path / name).string() + ": a Git LFS"), 0U)
                << error.what();
        }
        fs::remove(path / name);
    }
}

}  // namespace
}  // namespace vila::models
