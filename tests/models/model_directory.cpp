// Model directories: round trips, sharded weights, and the errors of invalid directories.

#include "models/model_directory.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "models/weight_files.h"
#include "tensor/json.h"
#include "tensor/safetensors.h"
#include "tests/support/model_goldens.h"
#include "tests/support/temporary_directory.h"

namespace vila::models {
namespace {

namespace fs = std::filesystem;

class ModelDirectoryTest : public JoinedTest {
  protected:
    ModelDirectoryTest() : path(directory.path() / "model") {
        fs::copy(model_goldens() / "joined", path, fs::copy_options::recursive);
    }

    std::string refusal() {
        try {
            ModelDirectory(path).load(*device, DType::F32);
        } catch (const Error& error) {
            return error.what();
        }
        return "";
    }

    // Loads the tensors of a part, calls `change` on them and writes them back.
    void edit(const std::string& part, const std::function<void(NamedTensors&)>& change) {
        NamedTensors tensors;
        const fs::path file = path / part / "model.safetensors";
        {
            const SafetensorsFile old(file);
            for (const std::string& name : old.names())
                tensors.emplace_back(name, old.load(name, *device));
        }
        change(tensors);
        write_safetensors(file, tensors);
    }

    void edit_config(const std::string& file, const Json& change) {
        Json json = read_json_file(path / file);
        json.update(change);
        write_file_atomic(path / file, json.dump());
    }

    TemporaryDirectory directory;
    fs::path path;
};

TEST_F(ModelDirectoryTest, SavedModelsLoadUnchanged) {
    Json join = read_json_file((path / "config.json").string());
    join["chat_template"] = "vicuna_v1";
    write_file_atomic(path / "config.json", join.dump());
    const auto model = ModelDirectory(path).load(*device, DType::F32);
    const fs::path saved = directory.path() / "saved";
    save_model(*model, saved, DType::F32, {{"llm/tokenizer.json", "{}"}});
    EXPECT_EQ(read_file(saved / "llm/tokenizer.json"), "{}");
    const auto again = ModelDirectory(saved).load(*device, DType::F32);
    EXPECT_EQ(again->config().chat_template, "vicuna_v1");
    EXPECT_EQ(again->config().image_mode, "resize");
    EXPECT_THROW(save_model(*again, saved, DType::BF16), Error) << "a directory that exists";
    EXPECT_EQ(read_file(saved / "llm/tokenizer.json"), "{}");
    const Batch all = batch(*model, {0, 1, 2});
    EXPECT_EQ(again->logits(all).to_vector<float>(), model->logits(all).to_vector<float>());
    const fs::path rounded = directory.path() / "rounded";
    save_model(*again, rounded, DType::BF16);
    EXPECT_EQ(SafetensorsFile(rounded / "llm/model.safetensors").info("model.norm.weight").dtype,
              "BF16");
}

// A frozen tower in f32 stays f32, bit for bit, beside parts that were trained in bf16.
TEST_F(ModelDirectoryTest, CopiesUnchangedParts) {
    const auto model = ModelDirectory(path).load(*device, DType::BF16);
    PartFiles unchanged;
    unchanged[Part::VisionTower] =
        open_part(*open_layout(path), Part::VisionTower, model->vision_table());
    const fs::path saved = directory.path() / "saved";
    save_model(*model, saved, DType::BF16, {}, unchanged);
    const SafetensorsFile before(path / "vision_tower/model.safetensors");
    const SafetensorsFile after(saved / "vision_tower/model.safetensors");
    for (const nn::Parameter& parameter : model->vision_table()) {
        const std::string name = parameter.name.substr(std::string("vision_model.").size());
        const std::string old = before.contains(parameter.name) ? parameter.name : name;
        EXPECT_EQ(after.info(parameter.name).dtype, "F32");
        EXPECT_EQ(after.load(parameter.name, *device).to_vector<float>(),
                  before.load(old, *device).to_vector<float>())
            << parameter.name;
    }
    EXPECT_EQ(read_json_file(saved / "vision_tower/config.json").at("torch_dtype"), "float32");
    EXPECT_EQ(read_json_file(saved / "llm/config.json").at("torch_dtype"), "bfloat16");
    EXPECT_EQ(SafetensorsFile(saved / "llm/model.safetensors").info("model.norm.weight").dtype,
              "BF16");
    ModelDirectory(saved).load(*device, DType::F32);
}

TEST_F(ModelDirectoryTest, PartsLoadAlone) {
    const auto llm = ModelDirectory(path / "llm").load(*device, DType::F32);
    EXPECT_FALSE(llm->has_vision());
    EXPECT_EQ(llm->config().image_layout().tile_features, 0);
    EXPECT_EQ(ModelDirectory(path / "vision_tower").vision_config().hidden_size, 12);
    EXPECT_EQ(ModelDirectory(path).vision_config().hidden_size, 12);
    EXPECT_EQ(ModelDirectory(path).llm_config().hidden_size, 16);

    // A language model alone is also written in the joined layout.
    const fs::path saved = directory.path() / "saved";
    save_model(*llm, saved, DType::F32);
    EXPECT_FALSE(fs::exists(saved / "vision_tower"));
    const auto again = ModelDirectory(saved).load(*device, DType::F32);
    const Batch text = batch(*llm, {0});
    EXPECT_EQ(again->logits(text).to_vector<float>(), llm->logits(text).to_vector<float>());

    nn::ParameterTable table;
    const VisionConfig config = ModelDirectory(path).vision_config();
    const Vit vit(config, table);
    ModelDirectory(path).load_part(Part::VisionTower, table, *device, DType::F32);
    const fs::path tower = directory.path() / "tower";
    save_vision_tower(config, table, tower, DType::F32);
    nn::ParameterTable table_again;
    const Vit vit_again(ModelDirectory(tower).vision_config(), table_again);
    ModelDirectory(tower).load_part(Part::VisionTower, table_again, *device, DType::F32);
    const Tensor pixels = golden("joined", "pixels.1");
    EXPECT_EQ(vit_again.hidden_state(pixels, -1, false).value().to_vector<float>(),
              vit.hidden_state(pixels, -1, false).value().to_vector<float>());
}

TEST_F(ModelDirectoryTest, ReadsShards) {
    const Batch all = batch(*ModelDirectory(path).load(*device, DType::F32), {0, 1, 2});
    const auto expected =
        ModelDirectory(path).load(*device, DType::F32)->logits(all).to_vector<float>();
    NamedTensors first, second;
    Json map;
    {
        const SafetensorsFile whole(path / "llm/model.safetensors");
        for (const std::string& name : whole.names()) {
            const bool early = map.size() < 5;
            (early ? first : second).emplace_back(name, whole.load(name, *device));
            map[name] = early ? "a-1.safetensors" : "a-2.safetensors";
        }
    }
    fs::remove(path / "llm/model.safetensors");
    write_safetensors(path / "llm/a-1.safetensors", first);
    write_safetensors(path / "llm/a-2.safetensors", second);
    const auto write_index = [&](const Json& weight_map) {
        write_file_atomic(
            path / "llm/model.safetensors.index.json",
            Json{{"metadata", {{"total_size", 1.5}}}, {"weight_map", weight_map}}.dump());
    };
    write_index(map);
    EXPECT_EQ(ModelDirectory(path).load(*device, DType::F32)->logits(all).to_vector<float>(),
              expected);

    Json wrong = map;
    wrong["model.norm.weight"] = "../a-2.safetensors";
    write_index(wrong);
    EXPECT_NE(refusal().find("is not a plain file name"), std::string::npos) << refusal();
    wrong["model.norm.weight"] = std::string("a-2.safetensors\0", 16);
    write_index(wrong);
    EXPECT_NE(refusal().find(R"("a-2.safetensors\u0000" is not a plain file name)"),
              std::string::npos)
        << refusal();
    wrong = map;
    wrong["two\nlines"] = "a-2.safetensors";
    write_index(wrong);
    EXPECT_NE(refusal().find(R"(tensor two\nlines is not in a-2.safetensors)"), std::string::npos)
        << refusal();
    wrong = map;
    wrong[first[0].first] = "a-2.safetensors";
    write_index(wrong);
    EXPECT_NE(refusal().find("is not in a-2.safetensors"), std::string::npos) << refusal();
    wrong = map;
    wrong.erase(second[0].first);
    write_index(wrong);
    EXPECT_NE(refusal().find("weight_map lacks tensor"), std::string::npos) << refusal();
    write_index(map);
    second.push_back(first[0]);
    write_safetensors(path / "llm/a-2.safetensors", second);
    EXPECT_NE(refusal().find("is also in"), std::string::npos) << refusal();
}

// A directory may hold its weights in up to four forms. The first in the usual order is read.
TEST_F(ModelDirectoryTest, ReadsTheFirstFormOfTheWeights) {
    const fs::path form = directory.path() / "form";
    fs::create_directories(form);
    EXPECT_FALSE(WeightFiles::present(form));
    const fs::path torch = fs::path(VILA_SOURCE_DIR) / "tests/goldens/torch_weights.bin";
    fs::copy(torch, form / "a.bin");
    Json map;
    const WeightFiles whole(torch);
    for (const std::string& name : whole.names()) map[name] = "a.bin";
    const auto first_name = [&] {
        EXPECT_TRUE(WeightFiles::present(form));
        return WeightFiles(form).file_of("matrix").filename().string();
    };
    write_file_atomic(form / "pytorch_model.bin.index.json", Json{{"weight_map", map}}.dump());
    EXPECT_EQ(first_name(), "a.bin");
    fs::copy(torch, form / "pytorch_model.bin");
    EXPECT_EQ(first_name(), "pytorch_model.bin");
    const NamedTensors one = {{"matrix", Tensor::zeros(*device, {1}, DType::F32)}};
    write_safetensors(form / "b.safetensors", one);
    write_file_atomic(form / "model.safetensors.index.json",
                      R"({"weight_map": {"matrix": "b.safetensors"}})");
    EXPECT_EQ(first_name(), "b.safetensors");
    write_safetensors(form / "model.safetensors", one);
    EXPECT_EQ(first_name(), "model.safetensors");
}

TEST_F(ModelDirectoryTest, ShardNamesStayInTheDirectory) {
    const fs::path form = directory.path() / "form";
    fs::create_directories(form);
    for (const char* name : {"../a.bin", "/etc/passwd", "a/b.bin", "a\\b.bin", ".", "..", ""}) {
        write_file_atomic(form / "model.safetensors.index.json",
                          Json{{"weight_map", {{"w", name}}}}.dump());
        EXPECT_THROW(
            {
                try {
                    WeightFiles files(form);
                } catch (const Error& error) {
                    EXPECT_NE(std::string(error.what()).find("not a plain file name"),
                              std::string::npos)
                        << error.what();
                    throw;
                }
            },
            Error);
    }
}

TEST_F(ModelDirectoryTest, RefusesDuplicateKeysAndDeepNesting) {
    const auto refused = [&](const std::string& text) {
        write_file_atomic(path / "x.json", text);
        try {
            read_json_file(path / "x.json");
        } catch (const Error& error) {
            return std::string(error.what());
        }
        return std::string();
    };
    EXPECT_EQ(refused(R"({"a": {"b": 1}, "b": [{"b": 2}, {"b": 3}]})"), "");
    EXPECT_EQ(
        refused(R"({"a": 1, "b": 2, "a": 1})"),
        (path / "x.json").string() + ": not valid JSON: duplicate key \"a\", at line 1, column 21");
    EXPECT_NE(refused(R"({"weight_map": {"w": "x", "\u0077": "y"}})").find("duplicate key \"w\""),
              std::string::npos);
    EXPECT_NE(refused(std::string(1'000'000, '[')).find("levels of nesting"), std::string::npos);
}

TEST_F(ModelDirectoryTest, EveryTensorIsUsedOrAnError) {
    const std::string file = (path / "llm/model.safetensors").string();
    edit("llm", [&](NamedTensors& tensors) {
        tensors.emplace_back("model.layers.9.mlp.up_proj.weight", tensors[0].second);
    });
    EXPECT_EQ(refusal(), file +
                             ": tensor model.layers.9.mlp.up_proj.weight has no place in this "
                             "model; the nearest weight is model.layers.0.mlp.up_proj.weight");
    edit("llm", [&](NamedTensors& tensors) {
        tensors.pop_back();
        std::erase_if(tensors, [](const auto& one) {
            return one.first == "model.layers.9.mlp.up_proj.weight" ||
                   one.first == "model.norm.weight";
        });
    });
    EXPECT_NE(refusal().find("is missing"), std::string::npos) << refusal();
}

TEST_F(ModelDirectoryTest, ChecksShapesAndDtypes) {
    const std::string file = (path / "mm_projector/model.safetensors").string();
    edit("mm_projector", [&](NamedTensors& tensors) {
        for (auto& [name, tensor] : tensors)
            if (name == "layers.0.weight") tensor = Tensor::zeros(*device, {16, 11}, DType::F32);
    });
    EXPECT_EQ(refusal(), file +
                             ": shape of tensor layers.0.weight, by the configuration "
                             "(outputs, inputs): expected (16, 12), got (16, 11)");
    edit("mm_projector", [&](NamedTensors& tensors) {
        for (auto& [name, tensor] : tensors)
            if (name == "layers.0.weight") tensor = Tensor::zeros(*device, {16, 12}, DType::I32);
    });
    EXPECT_EQ(refusal(), file + ": tensor layers.0.weight has dtype i32: expected a floating one");
}

TEST_F(ModelDirectoryTest, IgnoresUnusedTensors) {
    const Batch all = batch(*ModelDirectory(path).load(*device, DType::F32), {0, 1, 2});
    const auto expected =
        ModelDirectory(path).load(*device, DType::F32)->logits(all).to_vector<float>();
    const Tensor one = Tensor::zeros(*device, {1}, DType::I64);
    edit("llm", [&](NamedTensors& tensors) {
        tensors.emplace_back("model.layers.0.self_attn.rotary_emb.inv_freq", one);
        for (size_t i = 0; i < tensors.size(); ++i)
            if (tensors[i].first == "model.embed_tokens.weight")
                tensors.emplace_back("lm_head.weight", Tensor(tensors[i].second));  // tied
    });
    edit("vision_tower", [&](NamedTensors& tensors) {
        // The names of a full CLIP file, with the older prefix.
        for (auto& [name, tensor] : tensors) name = "vision_model." + name;
        tensors.emplace_back("vision_model.embeddings.position_ids", one);
        tensors.emplace_back("text_model.final_layer_norm.weight", one);
        tensors.emplace_back("logit_scale", one);
    });
    EXPECT_EQ(ModelDirectory(path).load(*device, DType::F32)->logits(all).to_vector<float>(),
              expected);
    edit("vision_tower",
         [&](NamedTensors& tensors) { tensors.emplace_back("post_layernorm.weight", one); });
    EXPECT_NE(refusal().find("are both weight vision_model.post_layernorm.weight"),
              std::string::npos)
        << refusal();
}

// The golden's configuration ties the lm_head to the embeddings.
TEST_F(ModelDirectoryTest, KeepsAHeadOfItsOwn) {
    EXPECT_TRUE(ModelDirectory(path).config().llm.remarks.empty());
    const auto tied = ModelDirectory(path).load(*device, DType::F32);
    const Shape shape = tied->llm_table().at("model.embed_tokens.weight").shape;
    edit("llm", [&](NamedTensors& tensors) {
        tensors.emplace_back("lm_head.weight", Tensor::zeros(*device, shape, DType::F32));
    });
    const auto model = ModelDirectory(path).load(*device, DType::F32);
    EXPECT_FALSE(model->config().llm.tie_word_embeddings);
    ASSERT_EQ(model->config().llm.remarks.size(), 1U);
    EXPECT_NE(model->config().llm.remarks[0].find(
                  "llm/config.json: tie_word_embeddings is true, but the files hold an lm_head of "
                  "other values than the embeddings: the lm_head is used"),
              std::string::npos);
    for (const float logit : model->logits(batch(*model, {0})).to_vector<float>())
        ASSERT_EQ(logit, 0.0F);
}

TEST_F(ModelDirectoryTest, ReadsATiedModelThatStoresOnlyItsHead) {
    const auto tied = ModelDirectory(path).load(*device, DType::F32);
    const Batch all = batch(*tied, {0, 1, 2});
    edit("llm", [](NamedTensors& tensors) {
        for (auto& [name, tensor] : tensors)
            if (name == "model.embed_tokens.weight") name = "lm_head.weight";
    });
    const auto model = ModelDirectory(path).load(*device, DType::F32);
    EXPECT_EQ(model->logits(all).to_vector<float>(), tied->logits(all).to_vector<float>());
    // Without the tie, the embeddings are missing.
    edit_config("llm/config.json", {{"tie_word_embeddings", false}});
    EXPECT_NE(refusal().find("weight model.embed_tokens.weight"), std::string::npos) << refusal();
}

TEST_F(ModelDirectoryTest, EndsAtTheIdsOfTheGenerationConfig) {
    const std::vector<int32_t> before = ModelDirectory(path).config().llm.eos_token_ids;
    const fs::path file = path / "llm/generation_config.json";
    write_file_atomic(file, R"({"eos_token_id": 9, "temperature": 0.6})");
    std::vector<int32_t> expected = before;
    expected.push_back(9);
    EXPECT_EQ(ModelDirectory(path).config().llm.eos_token_ids, expected);
    write_file_atomic(file, R"({"eos_token_id": [9, 11, 9]})");
    expected.push_back(11);
    EXPECT_EQ(ModelDirectory(path).config().llm.eos_token_ids, expected);
    write_file_atomic(file, R"({"eos_token_id": null})");
    EXPECT_EQ(ModelDirectory(path).config().llm.eos_token_ids, before);
    write_file_atomic(file, R"({"eos_token_id": "</s>"})");
    EXPECT_EQ(refusal(), file.string() +
                             ": field eos_token_id: expected a token id or a list of "
                             "them, got \"</s>\"");
}

TEST_F(ModelDirectoryTest, RemarksOnGenerationSettingsThatAreNotApplied) {
    const fs::path file = path / "llm/generation_config.json";
    const auto remarks = [&](const char* settings) {
        write_file_atomic(file, settings);
        return ModelDirectory(path).config().llm.remarks;
    };
    EXPECT_TRUE(
        remarks(R"({"repetition_penalty": 1.0, "num_beams": 1, "suppress_tokens": []})").empty());
    EXPECT_EQ(remarks(R"({"do_sample": true, "no_repeat_ngram_size": 3, "num_beams": 4})"),
              std::vector{file.string() + ": not applied: no_repeat_ngram_size, num_beams"});
}

TEST_F(ModelDirectoryTest, RefusesMarksAroundImages) {
    edit_config("config.json", {{"mm_use_im_start_end", false}});
    EXPECT_EQ(refusal(), "");
    edit_config("config.json", {{"mm_use_im_start_end", true}});
    EXPECT_NE(refusal().find("config.json: field mm_use_im_start_end"), std::string::npos)
        << refusal();
}

TEST_F(ModelDirectoryTest, ErrorsNameMissingFiles) {
    fs::remove(path / "mm_projector/model.safetensors");
    EXPECT_EQ(refusal(), (path / "mm_projector").string() +
                             ": holds no weights; expected one of model.safetensors, "
                             "model.safetensors.index.json, pytorch_model.bin, "
                             "pytorch_model.bin.index.json");
    edit_config("llm/config.json", {{"hidden_size", 24}, {"head_dim", 4}});
    EXPECT_NE(refusal().find("by the configuration"), std::string::npos) << refusal();
    fs::remove(path / "config.json");
    EXPECT_EQ(refusal(), path.string() + ": not a model directory: it holds no config.json");
    path = directory.path() / "nothing";
    EXPECT_EQ(refusal(), path.string() + ": not a model directory: it does not exist");
}

TEST_F(ModelDirectoryTest, ReportsLostParts) {
    const auto model = ModelDirectory(path).load(*device, DType::F32);
    path = directory.path() / "saved";
    save_model(*model, path, DType::F32);
    fs::remove_all(path / "vision_tower");
    EXPECT_EQ(refusal(), (path / "vision_tower").string() +
                             ": not a model directory: it holds no config.json");
}

TEST_F(ModelDirectoryTest, InvalidJsonIsOneLine) {
    write_file_atomic(path / "llm/config.json", "{\n\"a\": ]");
    EXPECT_NE(refusal().find((path / "llm/config.json").string() +
                             ": not valid JSON: expected a value, at line 2, column 6"),
              std::string::npos)
        << refusal();
    EXPECT_EQ(refusal().find('\n'), std::string::npos) << refusal();
}

}  // namespace
}  // namespace vila::models
