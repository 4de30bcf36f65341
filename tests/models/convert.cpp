// Conversion between layouts: a round trip loses nothing, models that a layout cannot hold are
// refused, and a tower resized for another image size agrees with transformers.

#include "models/convert.h"

#include <cstring>
#include <nlohmann/json.hpp>

#include "models/position_grid.h"
#include "tensor/file.h"
#include "tensor/json_fields.h"
#include "tests/support/model_goldens.h"
#include "tests/support/temporary_directory.h"

namespace vila::models {
namespace {

namespace fs = std::filesystem;

fs::path layout_goldens() {
    return fs::path(VILA_SOURCE_DIR) / "tests" / "goldens" / "layouts";
}

class ConvertTest : public ModelTest {
  protected:
    fs::path convert(const fs::path& source, const std::string& name, ConvertOptions options) {
        const fs::path out = directory.path() / name;
        convert_model(*open_layout(source), out, *device, options);
        return out;
    }
    std::string refusal(const fs::path& source, const ConvertOptions& options) {
        const fs::path out = directory.path() / "refused";
        try {
            convert_model(*open_layout(source), out, *device, options);
        } catch (const Error& error) {
            EXPECT_FALSE(fs::exists(out));
            return error.what();
        }
        fs::remove_all(out);
        return "";
    }

    std::string bytes(const PartWeights& weights, const std::string& name) {
        const PartWeights::Stored& stored = *weights.find(name);
        const Tensor value = stored.file->load(stored.name, *device);
        std::string result(static_cast<size_t>(value.bytes()), '\0');
        value.copy_to_host(result.data());
        return str(value.dtype(), value.shape(), result);
    }

    // Expects the same weights in both, with the same dtype, shape and bits.
    void expect_same_weights(const fs::path& a, const fs::path& b) {
        const auto layout_a = open_layout(a);
        const auto layout_b = open_layout(b);
        for (const Part part : {Part::Llm, Part::VisionTower, Part::Projector}) {
            EXPECT_EQ(layout_a->has(part), layout_b->has(part));
            if (!layout_a->has(part)) continue;
            const PartWeights weights_a(layout_a->weights(part), part);
            const PartWeights weights_b(layout_b->weights(part), part);
            EXPECT_EQ(std::set<std::string>(weights_a.names().begin(), weights_a.names().end()),
                      std::set<std::string>(weights_b.names().begin(), weights_b.names().end()));
            for (const std::string& name : weights_a.names())
                EXPECT_TRUE(bytes(weights_a, name) == bytes(weights_b, name))
                    << b << ": " << part_name(part) << " " << name;
        }
    }
    void expect_same_config(const fs::path& a, const fs::path& b) {
        const VilaConfig one = ModelDirectory(a).config(), other = ModelDirectory(b).config();
        EXPECT_EQ(one.llm.to_json(DType::F32), other.llm.to_json(DType::F32)) << b;
        EXPECT_EQ(one.join_json(DType::F32), other.join_json(DType::F32)) << b;
        EXPECT_EQ(one.vision.has_value(), other.vision.has_value());
        if (!one.vision) return;
        EXPECT_EQ(one.vision->to_json(DType::F32), other.vision->to_json(DType::F32)) << b;
        EXPECT_EQ(one.projector.to_json(DType::F32), other.projector.to_json(DType::F32)) << b;
    }

    TemporaryDirectory directory;
};

TEST_F(ConvertTest, RoundTripIsBitIdentical) {
    for (const std::string from : {"llava_hf", "llava", "adapter"}) {
        const fs::path source = layout_goldens() / from;
        const fs::path vila = convert(source, from + ".vila", {.layout = "vila"});
        expect_same_weights(source, vila);
        expect_same_config(source, vila);
        EXPECT_STREQ(open_layout(vila)->name(), "vila");
        for (const std::string to : {"llava", "llava-hf", "vila"}) {
            const ConvertOptions options = {.layout = to, .image_token = 59};
            const fs::path there = convert(vila, from + "." + to + ".2", options);
            EXPECT_EQ(open_layout(there)->name(), to);
            expect_same_weights(source, there);
            expect_same_config(source, there);
            const fs::path back = convert(there, from + "." + to + ".3", {.layout = "vila"});
            expect_same_weights(source, back);
            expect_same_config(source, back);
        }
    }
    for (const std::string from : {"vila15", "vicuna", "llama3", "qwen2"}) {
        const fs::path source = layout_goldens() / from;
        const fs::path vila = convert(source, from + ".vila", {});
        expect_same_config(source, vila);
        if (from != "vicuna") expect_same_weights(source, vila);
        expect_same_weights(vila, convert(vila, from + ".again", {}));
    }
    // The file of VILA-1.5 lacks its token order; the converted file has it.
    EXPECT_EQ(
        read_json_file(directory.path() / "vila15.vila/mm_projector/config.json").at("token_order"),
        "column");
}

// Converting a file of transformers and converting it back gives the same values under the same
// names.
TEST_F(ConvertTest, LlavaHfRoundTripKeepsTheFileOfTransformers) {
    const fs::path source = layout_goldens() / "llava_hf";
    const fs::path vila = convert(source, "vila", {});
    const fs::path back = convert(vila, "back", {.layout = "llava-hf"});
    const SafetensorsFile before(source / "model.safetensors"), after(back / "model.safetensors");
    EXPECT_EQ(before.names().size(), after.names().size());
    for (const std::string& name : before.names()) {
        // The newest version omits a prefix that every older one needs.
        const auto tower = without_prefix(name, "vision_tower.");
        const std::string now = tower ? "vision_tower.vision_model." + *tower : name;
        EXPECT_EQ(before.stored_dtype(name), after.stored_dtype(now));
        EXPECT_EQ(before.load(name, *device).to_vector<float>(),
                  after.load(now, *device).to_vector<float>());
    }
    EXPECT_EQ(read_json_file(back / "config.json").at("image_token_index"), 59);
}

TEST_F(ConvertTest, ConvertsDtypes) {
    const fs::path source = layout_goldens() / "vila15";
    for (const DType dtype : {DType::F32, DType::F16, DType::BF16}) {
        const fs::path out = convert(source, dtype_name(dtype), {.dtype = dtype});
        for (const char* part : {"llm", "vision_tower", "mm_projector"}) {
            const SafetensorsFile before(source / part / "model.safetensors");
            const SafetensorsFile after(out / part / "model.safetensors");
            for (const std::string& name : after.names()) {
                const Tensor value = after.load(name, *device);
                EXPECT_EQ(value.dtype(), dtype);
                const std::string old = before.contains(name) ? name : name.substr(13);
                EXPECT_EQ(value.to_vector<float>(),
                          before.load(old, *device).to(dtype).to_vector<float>());
            }
            EXPECT_EQ(read_json_file(out / part / "config.json").at("torch_dtype"),
                      dtype == DType::F32   ? "float32"
                      : dtype == DType::F16 ? "float16"
                                            : "bfloat16");
        }
    }
}

TEST_F(ConvertTest, CopiesCompanionFiles) {
    const fs::path source = directory.path() / "source";
    fs::copy(layout_goldens() / "llava_hf", source, fs::copy_options::recursive);
    write_file_atomic(source / "tokenizer.json", "{}");
    write_file_atomic(source / "preprocessor_config.json", "{\"size\": 15}");
    write_file_atomic(source / "unknown.txt", "");
    const std::vector<std::string> files = {"tokenizer.json", "missing.json"};
    const fs::path vila = convert(source, "vila", {.companion_files = files});
    EXPECT_EQ(read_file(vila / "llm/tokenizer.json"), "{}");
    EXPECT_EQ(read_file(vila / "vision_tower/preprocessor_config.json"), "{\"size\": 15}");
    EXPECT_FALSE(fs::exists(vila / "llm/unknown.txt"));
    const fs::path llava = convert(vila, "llava", {.layout = "llava", .companion_files = files});
    EXPECT_EQ(read_file(llava / "tokenizer.json"), "{}");
    EXPECT_EQ(read_file(llava / "vision_tower/preprocessor_config.json"), "{\"size\": 15}");
    const fs::path hf = convert(llava, "hf", {.layout = "llava-hf", .image_token = 1});
    EXPECT_EQ(read_file(hf / "preprocessor_config.json"), "{\"size\": 15}");

    // As transformers 5 writes it.
    fs::remove(source / "preprocessor_config.json");
    write_file_atomic(source / "processor_config.json", R"({"image_processor": {"size": 15}})");
    const fs::path again = convert(source, "again", {});
    EXPECT_EQ(read_json_file(again / "vision_tower/preprocessor_config.json"),
              Json::parse(R"({"size": 15})"));
}

// LlavaProcessor of transformers repeats the image token as often as these fields say.
TEST_F(ConvertTest, WritesTheProcessorOfTransformers) {
    const auto expect_fields = [&](const std::string& name, const fs::path& source, int64_t extra,
                                   const char* strategy) {
        const fs::path out = convert(source, name, {.layout = "llava-hf", .image_token = 59});
        const Json json = read_json_file(out / "processor_config.json");
        EXPECT_EQ(json, Json({{"processor_class", "LlavaProcessor"},
                              {"image_token", "<image>"},
                              {"patch_size", 7},
                              {"num_additional_image_tokens", extra},
                              {"vision_feature_select_strategy", strategy}}));
        const int64_t side = ModelDirectory(out).config().vision->image_size / 7;
        EXPECT_EQ(side * side + extra - (strategy == std::string("default") ? 1 : 0),
                  read_json_file(out / "config.json").at("image_seq_length"));
    };
    expect_fields("clip", layout_goldens() / "llava_hf", 1, "default");
    const fs::path full = directory.path() / "full";
    fs::copy(layout_goldens() / "llava_hf", full, fs::copy_options::recursive);
    Json json = read_json_file(full / "config.json");
    json["vision_feature_select_strategy"] = "full";
    write_file_atomic(full / "config.json", json.dump());
    expect_fields("clip.full", full, 1, "full");
    const fs::path siglip = directory.path() / "siglip";
    fs::copy(layout_goldens() / "vila15", siglip, fs::copy_options::recursive);
    fs::remove_all(siglip / "mm_projector");
    fs::copy(layout_goldens() / "projectors" / "mlp2x_gelu", siglip / "mm_projector");
    expect_fields("siglip.hf", siglip, 0, "full");

    const ConvertOptions options = {
        .layout = "llava-hf", .image_token = 59, .token_text = [](int32_t id) {
            return "token " + std::to_string(id);
        }};
    const fs::path named = convert(full, "named", options);
    EXPECT_EQ(read_json_file(named / "processor_config.json").at("image_token"), "token 59");
}

TEST_F(ConvertTest, RefusesModelsThatALayoutCannotHold) {
    const fs::path vila15 = layout_goldens() / "vila15";
    const fs::path text = layout_goldens() / "llama3";
    EXPECT_EQ(refusal(text, {.layout = "llava"}),
              "layout llava cannot hold a language model without a vision tower");
    EXPECT_EQ(refusal(text, {.layout = "llava-hf"}),
              "layout llava-hf cannot hold a language model without a vision tower");
    EXPECT_EQ(refusal(vila15, {.layout = "llava"}),
              "layout llava cannot hold a SigLIP vision tower: only CLIP");
    EXPECT_EQ(refusal(vila15, {.layout = "llava-hf"}),
              "layout llava-hf cannot hold the projector mlp_downsample: only mlp2x_gelu");
    const fs::path qwen = model_goldens() / "joined";
    EXPECT_EQ(refusal(qwen, {.layout = "llava"}),
              "layout llava cannot hold the language model Qwen2ForCausalLM: only "
              "LlamaForCausalLM");
    EXPECT_EQ(refusal(qwen, {.layout = "llava-hf"}),
              "layout llava-hf needs a token that stands for an image, and the tokenizer has no "
              "<image>: name one that no text uses with --image-token ID");
    EXPECT_EQ(refusal(qwen, {.layout = "llava-hf", .image_token = 61}),
              "image token 61 is outside the vocabulary of 61 tokens");
    EXPECT_EQ(refusal(qwen, {.layout = "llava-hf", .image_token = 60}), "");
    EXPECT_EQ(refusal(text, {.image_size = 10}), "--image-size: the model has no vision tower");
    EXPECT_EQ(refusal(vila15, {.image_size = 6}),
              "--image-size 6: smaller than the tower's patch_size 7");
    EXPECT_EQ(refusal(vila15, {.layout = "gguf"}), "layout gguf: expected vila, llava or llava-hf");

    const fs::path llava = convert(layout_goldens() / "llava", "llava", {});
    Json json = read_json_file(llava / "config.json");
    json["image_aspect_ratio"] = "resize";
    write_file_atomic(llava / "config.json", json.dump());
    EXPECT_EQ(refusal(llava, {.layout = "llava"}),
              "layout llava cannot hold the image mode resize: only pad and crop");
    json = read_json_file(llava / "mm_projector/config.json");
    json["mm_projector_type"] = "linear";
    write_file_atomic(llava / "mm_projector/config.json", json.dump());
    EXPECT_NE(refusal(llava, {}).find("has no place in this model"), std::string::npos);
}

TEST_F(ConvertTest, WritesOnlyToNewDirectories) {
    const fs::path source = directory.path() / "source";
    fs::copy(layout_goldens() / "parts/llm", source, fs::copy_options::recursive);
    EXPECT_THROW(convert_model(*open_layout(source), source, *device, {}), Error);
    EXPECT_EQ(read_file(source / "config.json"),
              read_file(layout_goldens() / "parts/llm/config.json"));
    const fs::path file = directory.path() / "file";
    write_file_atomic(file, "x");
    EXPECT_THROW(convert_model(*open_layout(source), file, *device, {}), Error);
    fs::create_directories(directory.path() / "empty");
    convert_model(*open_layout(source), directory.path() / "empty", *device, {});
    EXPECT_TRUE(fs::exists(directory.path() / "empty/llm/model.safetensors"));
}

TEST_F(ConvertTest, InterpolatedPositionsMatchTransformers) {
    const auto expected = [&](const std::string& name) {
        return SafetensorsFile(layout_goldens() / "positions.safetensors").load(name, *device);
    };
    const Tensor table = expected("table");
    for (const int64_t side : {1, 2, 3, 4, 7}) {
        const Tensor resized = resize_position_grid(table, 1, side);
        EXPECT_EQ(resized.slice(0, 0, 1).to_vector<float>(),
                  table.slice(0, 0, 1).to_vector<float>());
        EXPECT_LT(relative_error(resized.slice(0, 1, 1 + side * side),
                                 expected("side." + std::to_string(side))),
                  1e-6)
            << side;
    }
    EXPECT_THROW(resize_position_grid(table, 0, 3), Error);
}

TEST_F(ConvertTest, ResizesATowerForAnotherImageSize) {
    const fs::path source = directory.path() / "source";
    fs::copy(layout_goldens() / "llava_hf", source, fs::copy_options::recursive);
    write_file_atomic(source / "preprocessor_config.json",
                      R"({"size": {"shortest_edge": 15}, "crop_size": 15})");
    const fs::path wide = convert(source, "wide", {.image_size = 29});
    EXPECT_EQ(ModelDirectory(wide).config().image_layout().tile_tokens, 16);
    const auto model = ModelDirectory(wide).load(*device, DType::F32);
    EXPECT_EQ(model->vision_table()
                  .at("vision_model.embeddings.position_embedding.weight")
                  .variable.shape(),
              (Shape{17, 12}));
    EXPECT_EQ(read_json_file(wide / "vision_tower/preprocessor_config.json"),
              Json::parse(R"({"size": {"shortest_edge": 29}, "crop_size": 29})"));
    const fs::path hf = convert(wide, "hf", {.layout = "llava-hf", .image_size = 22});
    EXPECT_EQ(read_json_file(hf / "config.json").at("image_seq_length"), 9);
    EXPECT_EQ(ModelDirectory(hf).load(*device, DType::F32)->config().image_layout().tile_tokens, 9);
}

}  // namespace
}  // namespace vila::models
