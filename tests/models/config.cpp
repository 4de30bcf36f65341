// Configurations: reading, writing, and the errors of invalid files.

#include "models/config.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "models/head_offsets.h"
#include "models/vila.h"
#include "tests/support/model_goldens.h"

namespace vila::models {
namespace {

Json llama_json() {
    return Json::parse(R"({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 32000,
        "hidden_size": 64, "intermediate_size": 172, "num_hidden_layers": 2,
        "num_attention_heads": 8, "num_key_value_heads": 4, "hidden_act": "silu",
        "rms_norm_eps": 1e-05, "max_position_embeddings": 4096, "bos_token_id": 1,
        "eos_token_id": [2, 7], "torch_dtype": "bfloat16", "pretraining_tp": 1})");
}

Json clip_json() {
    return Json::parse(R"({
        "architectures": ["CLIPVisionModel"], "hidden_size": 1024, "intermediate_size": 4096,
        "num_hidden_layers": 24, "num_attention_heads": 16, "image_size": 336, "patch_size": 14,
        "hidden_act": "quick_gelu"})");
}

// Returns the error message for a changed file, or "" if it is accepted.
template <typename Read>
std::string refusal(Json json, const Json& change, const Read& read) {
    json.update(change);
    try {
        read(json);
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}
std::string llama_refusal(const Json& change) {
    return refusal(llama_json(), change,
                   [](const Json& json) { LlamaConfig::from_json(json, "c.json"); });
}
std::string vision_refusal(const Json& change) {
    return refusal(clip_json(), change,
                   [](const Json& json) { VisionConfig::from_json(json, "c.json"); });
}

TEST(LlamaConfigTest, ReadsTheFilesOfTransformers) {
    const LlamaConfig config = LlamaConfig::from_json(llama_json(), "c.json");
    EXPECT_EQ(config.vocab_size, 32000);
    EXPECT_EQ(config.head_dim, 8);
    EXPECT_EQ(config.num_key_value_heads, 4);
    EXPECT_EQ(config.rope.theta, 10000.0);
    EXPECT_EQ(config.rms_norm_eps, 1e-5);
    EXPECT_FALSE(config.qkv_bias || config.output_bias || config.mlp_bias);
    EXPECT_FALSE(config.tie_word_embeddings);
    EXPECT_EQ(config.bos_token_id, 1);
    EXPECT_EQ(config.eos_token_ids, (std::vector<int32_t>{2, 7}));
    EXPECT_EQ(config.pad_token_id, std::nullopt);

    Json minimal = llama_json();
    minimal.erase("architectures");
    minimal.erase("num_key_value_heads");
    minimal["model_type"] = "qwen2";
    minimal["head_dim"] = nullptr;
    minimal["tie_word_embeddings"] = true;
    const LlamaConfig qwen = LlamaConfig::from_json(minimal, "c.json");
    EXPECT_EQ(qwen.architecture, "Qwen2ForCausalLM");
    EXPECT_EQ(qwen.num_key_value_heads, 8);
    EXPECT_TRUE(qwen.qkv_bias && qwen.tie_word_embeddings);
    EXPECT_FALSE(qwen.output_bias);
}

TEST(LlamaConfigTest, ReadsBothSpellingsOfRopeScaling) {
    const char* older = R"({"rope_theta": 500000.0, "rope_scaling": {"type": "llama3",
        "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192}})";
    const char* newer = R"({"rope_parameters": {"rope_type": "llama3", "rope_theta": 500000.0,
        "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192}})";
    for (const char* text : {older, newer}) {
        Json json = llama_json();
        json.update(Json::parse(text));
        const RopeConfig rope = LlamaConfig::from_json(json, "c.json").rope;
        EXPECT_EQ(rope.kind, RopeConfig::Kind::Llama3);
        EXPECT_EQ(rope.theta, 500000.0);
        EXPECT_EQ(rope.factor, 8.0);
        EXPECT_EQ(rope.original_max_positions, 8192);
    }
    Json linear = llama_json();
    linear["rope_scaling"] = {{"type", "linear"}, {"factor", 2.0}};
    EXPECT_EQ(LlamaConfig::from_json(linear, "c.json").rope.kind, RopeConfig::Kind::Linear);
}

TEST(LlamaConfigTest, Llama3RopeFallsBackToTheLongestSequence) {
    Json json = llama_json();
    json["rope_scaling"] = {{"rope_type", "llama3"}, {"factor", 8.0}};
    const auto original = [&] {
        return LlamaConfig::from_json(json, "c.json").rope.original_max_positions;
    };
    EXPECT_EQ(original(), 4096) << "max_position_embeddings";
    json["rope_scaling"]["original_max_position_embeddings"] = 1024;
    EXPECT_EQ(original(), 1024);
    json["original_max_position_embeddings"] = 512;
    EXPECT_EQ(original(), 512) << "transformers prefers the field beside the rule";
}

TEST(LlamaConfigTest, OpensWindowsThatCoverNoLayer) {
    for (const Json& change : {Json{{"layer_types", {"full_attention", "full_attention"}}},
                               Json{{"max_window_layers", 2}}, Json{{"sliding_window", nullptr}},
                               Json{{"sliding_window", 4096}}}) {
        Json with = change;
        with["use_sliding_window"] = true;
        with["architectures"] = {"Qwen2ForCausalLM"};
        EXPECT_EQ(llama_refusal(with), "") << change;
    }
}

TEST(LlamaConfigTest, ReadsOldNamesOfArchitectures) {
    EXPECT_EQ(llama_refusal({{"architectures", {"LLaMAForCausalLM"}}}), "");
    EXPECT_EQ(llama_refusal({{"architectures", Json::array()}}), "");
    Json json = llama_json();
    json["architectures"] = {"LLaMAForCausalLM"};
    EXPECT_EQ(LlamaConfig::from_json(json, "c.json").architecture, "LlamaForCausalLM");
}

TEST(LlamaConfigTest, RoundTripKeepsEveryField) {
    Json json = llama_json();
    json["rope_theta"] = 1000.0;
    json["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 2.0}};
    json["attention_bias"] = true;
    json["initializer"] = Json::parse(R"({"embedding": 0.5, "linear": "fan_in_normal",
        "residual_scale": 0.5, "head_scale": 0.3, "offset_score": 7.0,
        "head_offsets": [[1, 2, 0, null], [1, -1, null, null]]})");
    const LlamaConfig config = LlamaConfig::from_json(json, "c.json");
    EXPECT_TRUE(config.output_bias);
    EXPECT_EQ(config.init.linear.kind, nn::InitRule::Kind::FanInNormal);
    EXPECT_EQ(config.init.head_offsets[0][1], 2);
    EXPECT_EQ(config.init.head_offsets[1][1], std::nullopt);
    const Json written = config.to_json(DType::BF16);
    EXPECT_EQ(written["torch_dtype"], "bfloat16");
    EXPECT_EQ(LlamaConfig::from_json(written, "c.json").to_json(DType::BF16), written);
}

TEST(LlamaConfigTest, ErrorsAreOneLine) {
    EXPECT_EQ(llama_refusal(Json::object()), "");
    EXPECT_EQ(llama_refusal({{"architectures", {"GemmaForCausalLM"}}}),
              "c.json: architecture GemmaForCausalLM is not implemented; expected "
              "LlamaForCausalLM, Qwen2ForCausalLM");
    EXPECT_EQ(llama_refusal({{"hidden_size", nullptr}}), "c.json: field hidden_size is missing");
    EXPECT_EQ(llama_refusal({{"hidden_size", "wide"}}),
              "c.json: field hidden_size: expected a positive integer, got \"wide\"");
    EXPECT_EQ(llama_refusal({{"hidden_size", 64.5}}),
              "c.json: field hidden_size: expected a positive integer, got 64.5");
    EXPECT_EQ(llama_refusal({{"vocab_size", 0}}),
              "c.json: field vocab_size: expected a positive integer, got 0");
    EXPECT_EQ(llama_refusal({{"vocab_size", uint64_t{1} << 63}}),
              "c.json: field vocab_size: expected an integer of at most 1099511627776, got "
              "9223372036854775808");
    EXPECT_EQ(llama_refusal({{"tie_word_embeddings", "no"}}),
              "c.json: field tie_word_embeddings: expected true or false, got \"no\"");
    EXPECT_EQ(llama_refusal({{"hidden_act", "gelu"}}),
              "c.json: field hidden_act: gelu is not implemented; expected silu");
    EXPECT_EQ(llama_refusal({{"num_key_value_heads", 3}}),
              "c.json: num_attention_heads 8 must be a multiple of num_key_value_heads 3");
    EXPECT_EQ(llama_refusal({{"head_dim", 7}}),
              "c.json: head_dim 7 must be even for rotary positions");
    EXPECT_EQ(llama_refusal({{"hidden_size", 8}, {"num_attention_heads", 16}}),
              "c.json: hidden_size 8 does not divide into 16 heads (num_attention_heads)");
    const double infinity = std::numeric_limits<double>::infinity();
    EXPECT_EQ(llama_refusal({{"rms_norm_eps", -1e-5}}),
              "c.json: field rms_norm_eps: expected a positive number, got -1e-05");
    EXPECT_EQ(llama_refusal({{"rope_theta", infinity}}),
              "c.json: field rope_theta: expected a finite number, got Infinity");
    EXPECT_EQ(llama_refusal({{"rope_parameters", {{"rope_theta", 0}}}}),
              "c.json: rope_parameters: field rope_theta: expected a positive number, got 0");
    EXPECT_EQ(llama_refusal({{"initializer_range", -0.02}}),
              "c.json: field initializer_range: expected a number from 0, got -0.02");
    EXPECT_EQ(llama_refusal({{"initializer", {{"linear", std::nan("")}}}}),
              "c.json: initializer: field linear: expected a finite number, got NaN");
    EXPECT_EQ(llama_refusal({{"num_hidden_layers", 1001}}),
              "c.json: num_hidden_layers 1001: expected at most 1000");
    EXPECT_EQ(llama_refusal({{"max_position_embeddings", 4194305}}),
              "c.json: max_position_embeddings 4194305: expected at most 4194304");
    EXPECT_EQ(llama_refusal({{"head_dim", 4098}}), "c.json: head_dim 4098: expected at most 4096");
    EXPECT_EQ(llama_refusal({{"rope_scaling", {{"type", "yarn"}, {"factor", 4.0}}}}),
              "c.json: rope_scaling: rope type yarn is not implemented; expected default, linear "
              "or llama3");
    EXPECT_EQ(llama_refusal({{"use_sliding_window", true}, {"max_window_layers", 1}}),
              "c.json: fields use_sliding_window and max_window_layers: layers from 1 of 2 have a "
              "sliding window, which is not implemented");
    EXPECT_EQ(llama_refusal({{"layer_types", {"full_attention", "sliding_attention"}}}),
              "c.json: field layer_types: \"sliding_attention\" is not implemented; expected "
              "full_attention");
    EXPECT_EQ(llama_refusal({{"quantization_config", {{"quant_method", "awq"}, {"bits", 4}}}}),
              "c.json: field quantization_config: the weights are quantized (awq): only weights in "
              "f32, bf16 and f16 are read; use the original model that was quantized");
    EXPECT_NE(
        llama_refusal({{"quantization_config", {{"load_in_4bit", true}}}}).find("(bitsandbytes)"),
        std::string::npos);
    EXPECT_EQ(llama_refusal({{"initializer", {{"linear", "small"}}}}),
              "c.json: initializer: field linear: expected a standard deviation, "
              "\"fan_in_normal\" or \"fan_in_uniform\", got \"small\"");
    EXPECT_EQ(llama_refusal({{"initializer", {{"head_offsets", {{1, 0, 0, 0}, {0, 0, 0, 0}}}}}}),
              "c.json: head_offsets need q and k biases (Qwen2ForCausalLM)");
    EXPECT_EQ(llama_refusal(
                  {{"attention_bias", true}, {"initializer", {{"head_offsets", {{1, 0, 0, 0}}}}}}),
              "c.json: rows of head_offsets: expected 2, got 1");
    EXPECT_THROW(LlamaConfig::from_json(Json::parse("[]"), "c.json"), Error);
}

TEST(VisionConfigTest, ReadsTowersAndFullModels) {
    const VisionConfig clip = VisionConfig::from_json(clip_json(), "c.json");
    EXPECT_EQ(clip.num_patches(), 576);
    EXPECT_EQ(clip.num_positions(), 577);
    EXPECT_EQ(clip.layer_norm_eps, 1e-5);
    EXPECT_EQ(VisionConfig::from_json(clip.to_json(DType::F32), "c.json").to_json(DType::F32),
              clip.to_json(DType::F32));
    // Files on the hub omit fields that equal the base model of the family.
    const VisionConfig siglip = VisionConfig::from_json(
        Json::parse(R"({"architectures": ["SiglipModel"], "vision_config": {"image_size": 384,
            "hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27,
            "patch_size": 14, "model_type": "siglip_vision_model"}})"),
        "c.json");
    EXPECT_EQ(siglip.kind, VisionConfig::Kind::Siglip);
    EXPECT_EQ(siglip.num_patches(), 729);
    EXPECT_EQ(siglip.num_attention_heads, 12);
    EXPECT_EQ(siglip.layer_norm_eps, 1e-6);
    EXPECT_EQ(siglip.activation, GeluKind::Tanh);
}

TEST(VisionConfigTest, ErrorsAreOneLine) {
    EXPECT_EQ(vision_refusal(Json::object()), "");
    EXPECT_EQ(vision_refusal({{"architectures", {"CLIPVisionModelWithProjection"}}}), "");
    EXPECT_EQ(vision_refusal({{"architectures", {"InternVisionModel"}}}),
              "c.json: architecture InternVisionModel is not implemented; expected "
              "CLIPVisionModel, CLIPVisionModelWithProjection, SiglipVisionModel, CLIPModel, "
              "SiglipModel");
    EXPECT_EQ(vision_refusal({{"image_size", nullptr}}), "c.json: field image_size is missing");
    EXPECT_EQ(vision_refusal({{"num_hidden_layers", 1001}}),
              "c.json: num_hidden_layers 1001: expected at most 1000");
    EXPECT_EQ(vision_refusal({{"image_size", 65537}}),
              "c.json: image_size 65537: expected at most 65536");
    EXPECT_EQ(vision_refusal({{"num_channels", 1}}),
              "c.json: field num_channels: expected 3, got 1");
    EXPECT_EQ(vision_refusal({{"num_attention_heads", 5}}),
              "c.json: hidden_size 1024 does not divide into 5 heads");
    EXPECT_EQ(vision_refusal({{"hidden_act", "relu"}}),
              "c.json: field hidden_act: expected quick_gelu, gelu or gelu_pytorch_tanh, got "
              "\"relu\"");
    EXPECT_EQ(vision_refusal({{"layer_norm_eps", -1e-5}}),
              "c.json: field layer_norm_eps: expected a number from 0, got -1e-05");
    EXPECT_EQ(vision_refusal({{"initializer_range", -1}}),
              "c.json: field initializer_range: expected a number from 0, got -1");
    EXPECT_EQ(vision_refusal({{"patch_size", 400}}),
              "c.json: image_size 336 is smaller than patch_size 400");
}

TEST(ProjectorConfigTest, ReadsKindsAndOrders) {
    using Order = ProjectorConfig::TokenOrder;
    const auto read = [](const char* text) {
        return ProjectorConfig::from_json(Json::parse(text), "p.json", Order::Column);
    };
    EXPECT_EQ(read(R"({"mm_projector_type": "mlp_downsample"})").token_order, Order::Column);
    EXPECT_EQ(read(R"({"mm_projector_type": "mlp_downsample", "token_order": "row"})").token_order,
              Order::Row);
    EXPECT_EQ(read(R"({"mm_projector_type": "mlp_downsample_2x2_fix"})").token_order, Order::Row);
    const ProjectorConfig config = read(R"({"mm_projector_type": "transformer",
        "num_attention_heads": 4, "hidden_size": 8, "mm_hidden_size": 6})");
    EXPECT_EQ(ProjectorConfig::from_json(config.to_json(DType::F32), "p.json", Order::Row)
                  .to_json(DType::F32),
              config.to_json(DType::F32));
    try {
        read(R"({"mm_projector_type": "mlp9x"})");
        FAIL();
    } catch (const Error& error) {
        EXPECT_STREQ(error.what(),
                     "p.json: projector type mlp9x is not implemented; expected linear, "
                     "mlp2x_gelu, mlp3x_gelu, transformer, linear_downsample or "
                     "mlp_downsample");
    }
    EXPECT_THROW(read(R"({"mm_projector_type": "linear", "token_order": "spiral"})"), Error);
}

TEST(VilaConfigTest, JoinsAndChecksTheParts) {
    VilaConfig config;
    config.llm = LlamaConfig::from_json(llama_json(), "c.json");
    config.vision = VisionConfig::from_json(clip_json(), "c.json");
    config.projector.kind = ProjectorConfig::Kind::MlpDownsample;
    config.check_and_complete();
    EXPECT_EQ(config.image_layout().tile_features, 576);
    EXPECT_EQ(config.image_layout().tile_tokens, 144);
    EXPECT_EQ(config.projector.mm_hidden_size, 1024);
    EXPECT_EQ(config.projector.hidden_size, 64);

    config.image_mode = "resize";
    config.chat_template = "vicuna_v1";
    VilaConfig again = config;
    again.image_mode = again.chat_template = "";
    again.read_join(config.join_json(DType::F32), "m.json");
    EXPECT_EQ(again.image_mode, "resize");
    EXPECT_EQ(again.chat_template, "vicuna_v1");
    EXPECT_EQ(again.select_layer, -2);
    EXPECT_FALSE(again.select_class_token);
    again.read_join(Json::parse(R"({"mm_vision_select_feature": "cls_patch"})"), "m.json");
    EXPECT_TRUE(again.select_class_token);
    EXPECT_THROW(again.check_and_complete(), Error) << "577 features are no square grid";

    const auto refuse = [&](const char* text) {
        try {
            again.read_join(Json::parse(text), "m.json");
        } catch (const Error& error) {
            return std::string(error.what());
        }
        return std::string();
    };
    EXPECT_EQ(refuse(R"({"image_aspect_ratio": "dynamic_s2"})"),
              "m.json: image_aspect_ratio dynamic_s2 is not implemented; expected pad, resize or "
              "square");
    EXPECT_EQ(refuse(R"({"s2": true})"),
              "m.json: multi-scale vision towers (s2) are not implemented");
    again.vision->kind = VisionConfig::Kind::Siglip;
    EXPECT_NE(refuse(R"({"mm_vision_select_feature": "patch"})").find("would drop the first"),
              std::string::npos);
    config.projector.hidden_size = 65;
    EXPECT_THROW(config.check_and_complete(), Error);
    config.projector.hidden_size = 64;
    config.select_layer = -26;
    EXPECT_THROW(config.check_and_complete(), Error);
}

// A head with initial offset o scores the key o positions back highest, at any position.
TEST_F(ModelTest, HeadsWithOffsetsLookBack) {
    VilaConfig config;
    config.llm = LlamaConfig::from_json(llama_json(), "c.json");
    LlamaConfig& llm = config.llm;
    llm.qkv_bias = true;
    llm.num_key_value_heads = 8;
    llm.head_dim = 16;
    llm.rope.theta = 1000.0;
    llm.vocab_size = 11;
    llm.init.head_offsets = {{1, 2, 0, std::nullopt, 1, 2, 0, std::nullopt},
                             std::vector<std::optional<int64_t>>(8)};
    VilaModel model(config, *device, DType::F32);
    model.initialize(4);
    const auto bias = [&](const char* side) {
        return model.llm_table()
            .at(std::string("model.layers.0.self_attn.") + side + "_proj.bias")
            .variable.value()
            .to_vector<double>();
    };
    const std::vector<double> query = bias("q"), key = bias("k");
    const std::vector<double> turns = llm.rope.frequencies(llm.head_dim);
    for (size_t head = 0; head < 8; ++head) {
        // Returns the attention score of a key `back` positions before the query, from the biases
        // alone.
        std::vector<double> scores;
        for (int back = 0; back < 40; ++back) {
            double score = 0.0;
            for (size_t j = 0; j < 8; ++j) {
                const double angle = back * turns[j];
                const double qx = query[head * 16 + j], qy = query[head * 16 + 8 + j];
                const double kx = key[head * 16 + j], ky = key[head * 16 + 8 + j];
                score +=
                    std::cos(angle) * (qx * kx + qy * ky) + std::sin(angle) * (qx * ky - qy * kx);
            }
            scores.push_back(score / std::sqrt(16.0));
        }
        const auto& offset = llm.init.head_offsets[0][head];
        const auto best = std::max_element(scores.begin(), scores.end());
        if (!offset) {
            EXPECT_EQ(*best, 0.0);
            continue;
        }
        EXPECT_EQ(best - scores.begin(), *offset) << head;
        EXPECT_NEAR(*best, 8.0, 1e-3);
    }
    for (const double value : model.llm_table()
                                  .at("model.layers.1.self_attn.q_proj.bias")
                                  .variable.value()
                                  .to_vector<double>())
        EXPECT_EQ(value, 0.0);
}

}  // namespace
}  // namespace vila::models
