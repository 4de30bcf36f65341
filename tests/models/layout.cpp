// The published layouts: each gives the numbers of transformers
// (tests/goldens/make_layout_goldens.py), and invalid directories give clear errors.

#include "models/layout.h"

#include <functional>
#include <nlohmann/json.hpp>

#include "models/foreign_directory.h"
#include "models/generate.h"
#include "tensor/file.h"
#include "tensor/json_fields.h"
#include "tests/support/model_goldens.h"
#include "tests/support/temporary_directory.h"

namespace vila::models {
namespace {

namespace fs = std::filesystem;

constexpr double kBf16Tolerance = 2e-2;
constexpr int64_t kNewTokens = 64;

fs::path layout_goldens() {
    return fs::path(VILA_SOURCE_DIR) / "tests" / "goldens" / "layouts";
}

class LayoutTest : public ModelTest {
  protected:
    Tensor expected(const std::string& file, const std::string& name) {
        return SafetensorsFile(layout_goldens() / (file + ".safetensors")).load(name, *device);
    }

    std::vector<int32_t> greedy(const VilaModel& model, const Sequence& prompt) {
        GenerateOptions options;
        options.max_tokens = kNewTokens;
        return generate(model, prompt, options);
    }

    void check_text(const std::string& name) {
        const fs::path path = layout_goldens() / name;
        const std::vector<int32_t> ids = expected(name, "ids").to_vector<int32_t>();
        for (const DType dtype : {DType::F32, DType::BF16}) {
            const auto model = ModelDirectory(path).load(*device, dtype);
            EXPECT_FALSE(model->has_vision());
            const Tensor logits = model->logits(make_batch(*device, {{ids, {}, {}}}));
            EXPECT_LT(relative_error(logits, expected(name, "logits")),
                      dtype == DType::F32 ? kFloatTolerance : kBf16Tolerance)
                << name << " " << dtype;
            if (dtype != DType::F32) continue;
            const std::vector<int32_t> prompt(ids.begin(), ids.begin() + 7);
            EXPECT_EQ(greedy(*model, {prompt, {}, {}}),
                      expected(name, "greedy").to_vector<int32_t>())
                << name;
        }
    }

    // Checks the sequences with one and with three images. The golden names begin with `label`.
    void check_joined(const fs::path& path, const std::string& file, const std::string& label) {
        for (const DType dtype : {DType::F32, DType::BF16}) {
            const auto model = ModelDirectory(path).load(*device, dtype);
            const double tolerance = dtype == DType::F32 ? kFloatTolerance : kBf16Tolerance;
            for (const std::string name : {"one", "three"}) {
                const std::string where = path.string() + " " + label + name;
                const Tensor pixels = expected(file, name + ".pixels");
                const Tensor tokens = model->project(model->image_features(pixels)).value();
                EXPECT_LT(relative_error(tokens, expected(file, label + name + ".image_features")),
                          tolerance)
                    << where << " " << dtype;
                OwnedSequence owned;
                owned.ids = expected(file, name + ".ids").to_vector<int32_t>();
                owned.image_shape = {3, pixels.size(2), pixels.size(3)};
                owned.image_tokens = model->config().image_layout().tile_tokens;
                for (int64_t i = 0; i < pixels.size(0); ++i)
                    owned.images.push_back(pixels.slice(0, i, i + 1).to_vector<float>());
                const Sequence prompt = owned.get();
                const Batch batch = make_batch(*device, {prompt});
                EXPECT_LT(
                    relative_error(model->logits(batch), expected(file, label + name + ".logits")),
                    tolerance)
                    << where << " " << dtype;
                if (dtype != DType::F32) continue;
                EXPECT_EQ(greedy(*model, prompt),
                          expected(file, label + name + ".greedy").to_vector<int32_t>())
                    << where;
            }
        }
    }

    // Copies of golden directories, which a test may change.
    fs::path copy(const std::string& name) {
        fs::copy(layout_goldens() / name, directory.path() / name, fs::copy_options::recursive);
        return directory.path() / name;
    }

    static void edit_config(const fs::path& path, const std::function<void(Json&)>& change) {
        Json json = read_json_file(path.string());
        change(json);
        fs::remove(path);
        write_file_atomic(path, json.dump());
    }

    // Rewrites the tensors of a file as PATH/model.safetensors under other names. An empty name
    // omits the tensor.
    void rename(const fs::path& from, const fs::path& path,
                const std::function<std::string(const std::string&)>& name_of) {
        NamedTensors tensors;
        {
            const auto file = open_tensor_file(from);
            for (const std::string& name : file->names())
                if (!name_of(name).empty())
                    tensors.emplace_back(name_of(name), file->load(name, *device));
        }
        fs::remove(from);
        write_safetensors(path / "model.safetensors", tensors);
    }

    std::string refusal(const fs::path& path) {
        try {
            ModelDirectory(path).load(*device, DType::F32);
        } catch (const Error& error) {
            return error.what();
        }
        return "";
    }

    TemporaryDirectory directory;
};

TEST_F(LayoutTest, TextModelsMatchTransformers) {
    for (const char* name : {"vicuna", "llama3", "qwen2"}) check_text(name);
}

TEST_F(LayoutTest, LlavaMatchesTransformersInEveryLayout) {
    for (const char* name : {"llava_hf", "llava", "adapter"})
        check_joined(layout_goldens() / name, "llava", "");
    const auto llava = open_layout(layout_goldens() / "llava");
    EXPECT_STREQ(llava->name(), "llava");
    const VilaConfig config = model_config(*llava);
    EXPECT_EQ(config.chat_template, "vicuna_v1");
    EXPECT_EQ(config.image_mode, "pad");
    EXPECT_STREQ(open_layout(layout_goldens() / "llava_hf")->name(), "llava-hf");
    EXPECT_EQ(ModelDirectory(layout_goldens() / "llava_hf").config().image_mode, "crop");
}

TEST_F(LayoutTest, ReadsTheNewerNamesOfLlavaHf) {
    const fs::path path = copy("llava_hf");
    rename(path / "model.safetensors", path, [](const std::string& name) {
        if (const auto inner = without_prefix(name, "language_model.model."))
            return "model.language_model." + *inner;
        if (name == "language_model.lm_head.weight") return std::string("lm_head.weight");
        if (const auto inner = without_prefix(name, "vision_tower.vision_model."))
            return "model.vision_tower." + *inner;
        return "model." + name;
    });
    EXPECT_TRUE(SafetensorsFile(path / "model.safetensors").contains("lm_head.weight"));
    check_joined(path, "llava", "");
}

TEST_F(LayoutTest, PrefersATrainedTowerInTheLlavaFile) {
    const fs::path path = copy("llava");
    copy("parts");
    // Moves the tower's tensors into the one file. The directory outside holds another tower.
    NamedTensors tensors;
    const SafetensorsFile tower(layout_goldens() / "parts/vision_tower/model.safetensors");
    for (const std::string& name : tower.names())
        tensors.emplace_back("model.vision_tower.vision_tower." + name, tower.load(name, *device));
    const auto rest = open_tensor_file(path / "pytorch_model.bin");
    for (const std::string& name : rest->names())
        tensors.emplace_back(name, rest->load(name, *device));
    write_safetensors(path / "model.safetensors", tensors);
    fs::remove(directory.path() / "parts/vision_tower/model.safetensors");
    check_joined(path, "llava", "");
}

TEST_F(LayoutTest, Vila15MatchesWithEveryProjector) {
    check_joined(layout_goldens() / "vila15", "vila15", "mlp_downsample.");
    EXPECT_EQ(ModelDirectory(layout_goldens() / "vila15").config().projector.token_order,
              ProjectorConfig::TokenOrder::Column);
    EXPECT_EQ(ModelDirectory(layout_goldens() / "vila15").config().chat_template, "vicuna_v1");
    const fs::path path = copy("vila15");
    for (const std::string kind : {"mlp_downsample_row", "linear", "mlp2x_gelu", "transformer"}) {
        fs::remove_all(path / "mm_projector");
        fs::copy(layout_goldens() / "projectors" / kind, path / "mm_projector");
        check_joined(path, "vila15", kind + ".");
    }
}

TEST_F(LayoutTest, MappedWeightsGiveTheSameLogits) {
    const fs::path path = layout_goldens() / "llava_hf";
    for (const DType dtype : {DType::F32, DType::BF16}) {
        const auto own = ModelDirectory(path).load(*device, dtype, WeightMemory::Own);
        const auto mapped = ModelDirectory(path).load(*device, dtype, WeightMemory::Mapped);
        const std::vector<int32_t> ids = {1, 5, 9, 12};
        const Batch batch = make_batch(*device, {{ids, {}, {}}});
        EXPECT_EQ(own->logits(batch).to_vector<float>(), mapped->logits(batch).to_vector<float>());
    }
}

TEST_F(LayoutTest, MappedWeightsTakeNoMemory) {
    const fs::path path = layout_goldens() / "parts" / "llm";
    const LlamaConfig config = ModelDirectory(path).llm_config();
    const auto taken = [&](DType dtype, WeightMemory memory) {
        nn::ParameterTable table;
        const Llama llm(config, table, *device, dtype);
        const int64_t before = device->memory().live;
        load_part(*open_layout(path), Part::Llm, table, *device, dtype, memory);
        return device->memory().live - before;
    };
    EXPECT_EQ(taken(DType::BF16, WeightMemory::Mapped), 0);
    EXPECT_GT(taken(DType::BF16, WeightMemory::Own), 0);
    EXPECT_GT(taken(DType::F32, WeightMemory::Mapped), 0) << "converted weights are copies";
}

TEST_F(LayoutTest, CountsConvertedBytes) {
    for (const char* name : {"llava_hf", "llava", "vila15", "vicuna"}) {
        const fs::path path = layout_goldens() / name;
        const auto model = ModelDirectory(path).load(*device, DType::F32);
        const int64_t count = model->llm_table().count() + model->vision_table().count() +
                              model->projector_table().count();
        // Unused buffers and a pooling head are also counted; they are small.
        EXPECT_GE(ModelDirectory(path).converted_bytes(DType::F32), 4 * count) << name;
        EXPECT_LE(ModelDirectory(path).converted_bytes(DType::F32), 4 * count + 20000) << name;
        const bool is_half = std::string(name) == "vicuna";
        EXPECT_EQ(ModelDirectory(path).converted_bytes(DType::BF16) > 0, is_half) << name;
    }
}

TEST_F(LayoutTest, PartsOfAnyLayoutLoadAlone) {
    for (const char* name : {"llava_hf", "llava", "adapter"}) {
        const fs::path path = layout_goldens() / name;
        nn::ParameterTable llm, tower, projector;
        const Llama llama(ModelDirectory(path).llm_config(), llm, *device, DType::F32);
        const Vit vit(ModelDirectory(path).vision_config(), tower);
        ProjectorConfig config = ModelDirectory(path).projector_config();
        config.mm_hidden_size = 12;
        config.hidden_size = 16;
        const Projector mlp(config, projector);
        ModelDirectory(path).load_part(Part::Llm, llm, *device, DType::F32);
        ModelDirectory(path).load_part(Part::VisionTower, tower, *device, DType::F32);
        ModelDirectory(path).load_part(Part::Projector, projector, *device, DType::F32);
        EXPECT_TRUE(
            fs::equivalent(ModelDirectory(path).files_of(Part::Llm),
                           std::string(name) == "adapter" ? layout_goldens() / "parts/llm" : path));
    }
}

TEST_F(LayoutTest, ErrorsExplainPartsThatAreNotDirectories) {
    const fs::path llava = copy("llava");
    edit_config(llava / "config.json",
                [](Json& json) { json["mm_vision_tower"] = "openai/clip-vit-large-patch14-336"; });
    EXPECT_EQ(refusal(llava), (llava / "config.json").string() +
                                  ": the vision tower openai/clip-vit-large-patch14-336 is not a "
                                  "directory here: put its files into " +
                                  (llava / "vision_tower").string() +
                                  " (a link will do), or make a whole model with vila convert "
                                  "--vision-tower DIR");
    // The language model can still be read.
    EXPECT_EQ(ModelDirectory(llava).llm_config().hidden_size, 16);
    fs::copy(layout_goldens() / "parts/vision_tower", llava / "vision_tower");
    check_joined(llava, "llava", "");

    const fs::path adapter = copy("adapter");
    edit_config(adapter / "config.json",
                [](Json& json) { json["_name_or_path"] = "lmsys/vicuna-7b-v1.5"; });
    EXPECT_EQ(refusal(adapter),
              adapter.string() +
                  ": holds a projector without its language model lmsys/vicuna-7b-v1.5: put its "
                  "files into " +
                  (adapter / "llm").string() +
                  " (a link will do), or make a whole model with vila convert --base DIR");
    fs::copy(layout_goldens() / "parts/llm", adapter / "llm");
    fs::copy(layout_goldens() / "parts/vision_tower", adapter / "vision_tower");
    check_joined(adapter, "llava", "");
}

TEST_F(LayoutTest, EveryTensorIsUsedOrAnError) {
    const fs::path hf = copy("llava_hf");
    rename(hf / "model.safetensors", hf, [](const std::string& name) {
        return name == "multi_modal_projector.linear_1.bias" ? "image_newline" : name;
    });
    EXPECT_EQ(refusal(hf), (hf / "model.safetensors").string() +
                               ": tensor image_newline has no place in a model of this layout");
    const fs::path llava = copy("llava");
    copy("parts");
    rename(llava / "pytorch_model.bin", llava, [](const std::string& name) {
        return name == "model.mm_projector.0.bias" ? "model.image_newline" : name;
    });
    EXPECT_EQ(refusal(llava), (llava / "model.safetensors").string() +
                                  ": tensor model.image_newline has no place in this model; the "
                                  "nearest weight is model.norm.weight");
    const fs::path adapter = copy("adapter");
    const auto file = open_tensor_file(adapter / "mm_projector.bin");
    NamedTensors tensors = {
        {"model.embed_tokens.weight", file->load("model.mm_projector.0.bias", *device)}};
    write_safetensors(adapter / "mm_projector.safetensors", tensors);
    fs::remove(adapter / "mm_projector.bin");
    EXPECT_NE(refusal(adapter).find("tensor model.embed_tokens.weight has no place"),
              std::string::npos)
        << refusal(adapter);
}

TEST_F(LayoutTest, ErrorsNameTheConfigurationField) {
    const fs::path path = copy("llava_hf");
    const Json original = read_json_file((path / "config.json").string());
    const auto refused = [&](const Json& change) {
        Json json = original;
        json.update(change);
        write_file_atomic(path / "config.json", json.dump());
        try {
            ModelDirectory(path).config();
        } catch (const Error& error) {
            const std::string message = error.what();
            EXPECT_EQ(message.find((path / "config.json").string()), 0U) << message;
            return message.substr((path / "config.json").string().size());
        }
        return std::string();
    };
    EXPECT_EQ(refused(Json::object()), "");
    EXPECT_EQ(refused({{"vision_feature_layer", {-2}}}), "");
    EXPECT_EQ(refused({{"vision_feature_layer", {-2, -5}}}),
              ": features of 2 layers side by side (vision_feature_layer) are not implemented");
    EXPECT_EQ(refused({{"vision_feature_select_strategy", "full"}}), "");
    EXPECT_TRUE(ModelDirectory(path).config().select_class_token);
    EXPECT_EQ(refused({{"vision_feature_select_strategy", "none"}}),
              ": vision_feature_select_strategy none: expected default or full");
    EXPECT_EQ(refused({{"projector_hidden_act", "relu"}}),
              ": projector_hidden_act relu is not implemented; expected gelu");
    EXPECT_EQ(refused({{"multimodal_projector_bias", false}}),
              ": a projector without biases is not implemented");
    EXPECT_EQ(refused({{"text_config", 3}}), ": field text_config: expected an object");
    EXPECT_EQ(refused({{"text_config", {{"model_type", "mistral"}}}}),
              ": text_config: model_type mistral is not implemented; expected "
              "LlamaForCausalLM, Qwen2ForCausalLM");
    EXPECT_EQ(refused({{"vision_config", {{"model_type", "pixtral"}}}}),
              ": vision_config: model_type pixtral is not implemented; expected "
              "CLIPVisionModel, CLIPVisionModelWithProjection, SiglipVisionModel, CLIPModel, "
              "SiglipModel");
    // Fields that a file omits have the defaults of transformers.
    EXPECT_EQ(refused({{"vision_config", nullptr}, {"text_config", nullptr}}), "");
    const VilaConfig defaults = ModelDirectory(path).config();
    EXPECT_EQ(defaults.vision->hidden_size, 1024);
    EXPECT_EQ(defaults.image_layout().tile_tokens, 576);
    EXPECT_EQ(defaults.llm.vocab_size, 32000);
    EXPECT_EQ(defaults.llm.intermediate_size, 11008);
    EXPECT_EQ(refused({{"text_config", {{"model_type", "qwen2"}}}}), "");
    EXPECT_EQ(ModelDirectory(path).config().llm.vocab_size, 151936);

    const fs::path llava = copy("llava");
    copy("parts");
    edit_config(llava / "config.json",
                [](Json& json) { json["architectures"] = {"LlavaMptForCausalLM"}; });
    EXPECT_EQ(refusal(llava), (llava / "config.json").string() +
                                  ": architecture LlavaMptForCausalLM is not implemented; "
                                  "expected " +
                                  kOpens);
    const fs::path vila = copy("vila15");
    edit_config(vila / "config.json", [](Json& json) { json["vision_resolution"] = 29; });
    EXPECT_EQ(refusal(vila),
              (vila / "config.json").string() +
                  ": vision_resolution 29 differs from the tower's image_size; make a tower of "
                  "that size with vila convert --image-size 29");
}

}  // namespace
}  // namespace vila::models
