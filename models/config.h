#pragma once

// What a model is made of, under the field names of Hugging Face configurations. Reading is strict:
// a missing field, a wrong type, a value out of range or an architecture that is not implemented is
// one line naming the file and the field. Fields that have no effect here are ignored.
//
// Fields of our own, which other readers ignore: `initializer` (how the weights of a NEW model are
// drawn), and in MODEL/config.json `chat_template`, in mm_projector/config.json `token_order`.
//
// Reading order: LlamaConfig, VisionConfig, ProjectorConfig, VilaConfig.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nn/init.h"
#include "tensor/dtype.h"
#include "tensor/gelu_kind.h"
#include "tensor/json_fwd.h"

namespace vila::models {

// How rotary angles depend on the position (formats: `rope_scaling` and `rope_parameters`).
struct RopeConfig {
    enum class Kind {
        Default,  // theta^(-2j / D)
        Linear,   // the same divided by `factor`
        Llama3,   // long wavelengths divided by `factor`, short ones kept, a ramp between
    };
    Kind kind = Kind::Default;
    double theta = 10000.0;
    double factor = 1.0;
    double low_freq_factor = 1.0;
    double high_freq_factor = 4.0;
    int64_t original_max_positions = 8192;

    // The angle per position of each pair j in [0, head_dim / 2).
    std::vector<double> frequencies(int64_t head_dim) const;
};

// JSON: {"initializer": {"embedding": 0.5, "linear": "fan_in_normal", "residual_scale": 0.5,
// "head_scale": 0.3, "head_offsets": [[1, 0], [null, null]]}}; "linear" is a number (standard
// deviation), "fan_in_normal" or "fan_in_uniform". What is not given follows `initializer_range`
// (0.02).
struct LlamaInit {
    double embedding = 0.02;      // standard deviation of the embedding table
    nn::InitRule linear;          // matrices
    double residual_scale = 1.0;  // times that for o_proj and down_proj, which add to the residual
    double head_scale = 1.0;      // times that for lm_head
    double qk_bias = 0.0;         // standard deviation of the q bias, to which the k bias is equal
    // A row a layer, an entry a key head: how many tokens back the head looks at first, or nothing
    // (models/head_offsets.h). Empty: no layer. Needs q and k biases.
    std::vector<std::vector<std::optional<int64_t>>> head_offsets;
    double offset_score = 8.0;  // attention score of the token looked at, before softmax
};

// LlamaForCausalLM and Qwen2ForCausalLM.
struct LlamaConfig {
    std::string architecture = "LlamaForCausalLM";
    int64_t vocab_size = 0;               // V
    int64_t hidden_size = 0;              // C
    int64_t intermediate_size = 0;        // F
    int64_t num_hidden_layers = 0;        // L
    int64_t num_attention_heads = 0;      // H
    int64_t num_key_value_heads = 0;      // K
    int64_t head_dim = 0;                 // D
    int64_t max_position_embeddings = 0;  // positions a sequence may have
    double rms_norm_eps = 1e-6;
    RopeConfig rope;
    bool qkv_bias = false;     // Qwen2, or Llama's attention_bias
    bool output_bias = false;  // Llama's attention_bias
    bool mlp_bias = false;
    bool tie_word_embeddings = false;
    std::optional<int32_t> bos_token_id, pad_token_id;
    std::vector<int32_t> eos_token_ids;
    LlamaInit init;

    // `where` names the source in messages: a file or a recipe's table.
    static LlamaConfig from_json(const Json& json, const std::string& where);
    // As transformers writes it; `dtype` is that of the stored weights.
    Json to_json(DType dtype) const;
};

// JSON: {"initializer": {"linear": ..., "residual_scale": 0.4, "position": 0.02, "class_token":
// 0.1}}, as for LlamaInit.
struct VisionInit {
    nn::InitRule linear;          // matrices and patch embedding
    double residual_scale = 1.0;  // times that for out_proj and fc2
    double position = 0.02;       // standard deviation of position embeddings
    double class_token = 0.02;    // standard deviation of the class embedding
};

// CLIPVisionModel and SiglipVisionModel.
struct VisionConfig {
    enum class Kind { Clip, Siglip };
    Kind kind = Kind::Clip;
    int64_t hidden_size = 0;          // C
    int64_t intermediate_size = 0;    // F
    int64_t num_hidden_layers = 0;    // L
    int64_t num_attention_heads = 0;  // H
    int64_t image_size = 0;           // pixels a side
    int64_t patch_size = 0;           // P
    double layer_norm_eps = 1e-5;
    GeluKind activation = GeluKind::Quick;
    VisionInit init;

    bool has_class_token() const { return kind == Kind::Clip; }
    // N: whole patches of a square image.
    int64_t num_patches() const;
    // Rows of one image inside the tower: N, plus the class token if there is one.
    int64_t num_positions() const { return num_patches() + (has_class_token() ? 1 : 0); }

    // Also reads a full CLIPModel's or SiglipModel's configuration through its `vision_config`.
    static VisionConfig from_json(const Json& json, const std::string& where);
    Json to_json(DType dtype) const;
};

// The projector maps vision features (N, Cv) to language embeddings (N', C).
struct ProjectorConfig {
    // The published projectors. models/projector_config.cpp lists the layers of each.
    enum class Kind { Linear, Mlp2xGelu, Transformer, MlpDownsample };
    // The layers that a projector may consist of, for rows of width D (Cv, and C after the first
    // Linear).
    enum class Layer {
        Merge,      // 2x2 tokens into one: D -> 4D
        LayerNorm,  // D -> D
        Linear,     // D -> C, with a bias
        Gelu,       // D -> D, after a Linear; the exact form
        Block,      // D -> D, a pre-norm encoder block over the tokens of one image
    };
    // The order of merged tokens: VILA-1.5 runs down the columns, later models along the rows.
    enum class TokenOrder { Column, Row };
    Kind kind = Kind::Linear;
    TokenOrder token_order = TokenOrder::Row;  // used by Merge
    int64_t mm_hidden_size = 0;                // Cv
    int64_t hidden_size = 0;                   // C
    int64_t num_attention_heads = 0;           // used by Block; 0: one head per 64 channels
    nn::InitRule init{nn::InitRule::Kind::FanInUniform, 1.0};

    // The layers of this kind, in order.
    std::span<const Layer> layers() const;
    bool has(Layer layer) const;
    // The number of tokens N' of an image with `patches` features. Throws if tokens are merged and
    // the features do not form a square grid.
    int64_t num_tokens(int64_t patches) const;

    // Widths that the file lacks (VILA-1.5 writes none) stay 0; the caller fills them in.
    // `older_order` is the token order of files without the field.
    static ProjectorConfig from_json(const Json& json, const std::string& where,
                                     TokenOrder older_order);
    Json to_json(DType dtype) const;
    // Names as in files and recipes: "linear", "mlp2x_gelu", ... Throws for an unknown name.
    static Kind kind_from_name(const std::string& name);
    static const char* kind_name(Kind kind);
    static std::vector<std::string> kind_names();
    // "column" or "row".
    static TokenOrder order_from_name(const std::string& name);
    static const char* order_name(TokenOrder order);
};

// A joined model, or with `vision` absent a language model alone.
struct VilaConfig {
    LlamaConfig llm;
    std::optional<VisionConfig> vision;
    ProjectorConfig projector;
    std::string image_mode = "pad";       // crop | pad | resize (JSON: image_aspect_ratio)
    int64_t select_layer = -2;            // index into the tower's hidden states
    bool select_class_token = false;      // whether the class token is an image token too
    std::string chat_template = "plain";  // name of the conversation template

    // How many image rows the tower hands to the projector, and how many embeddings come out.
    int64_t features_per_image() const;
    int64_t tokens_per_image() const;
    // Fills in what follows from the parts (projector widths, default select feature) and throws
    // when they do not fit each other.
    void check_and_complete();

    // MODEL/config.json; the parts have files of their own.
    void read_join(const Json& json, const std::string& where);
    Json join_json(DType dtype) const;
};

}  // namespace vila::models
