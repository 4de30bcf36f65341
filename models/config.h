#pragma once

// The configurations of the parts of a model and of the joined model, under the field names of
// Hugging Face. Reading is strict: a missing field, a wrong type, a value out of range or an
// architecture that is not implemented throws one line that names the file and the field. Fields
// that do not affect the model here are ignored.
//
// This program adds fields that other readers ignore: `initializer` (the distribution of the
// weights of a new model), `chat_template` in MODEL/config.json, and `token_order` in
// mm_projector/config.json.
//
// Reading order: LlamaConfig, VisionConfig, ProjectorConfig, VilaConfig.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "models/image_layout.h"
#include "nn/init.h"
#include "tensor/dtype.h"
#include "tensor/gelu_kind.h"
#include "tensor/json_fwd.h"

namespace vila::models {

// The rule for rotary angles as a function of the position (JSON: `rope_scaling` or
// `rope_parameters`).
struct RopeConfig {
    enum class Kind {
        Default,  // theta^(-2j / D)
        Linear,   // theta^(-2j / D) / factor
        Llama3,   // long wavelengths as Linear, short ones as Default, a ramp between
    };
    Kind kind = Kind::Default;
    double theta = 10000.0;
    double factor = 1.0;
    double low_freq_factor = 1.0;
    double high_freq_factor = 4.0;
    int64_t original_max_positions = 8192;

    // The angle per position, in radians, of each pair j in [0, head_dim / 2).
    std::vector<double> frequencies(int64_t head_dim) const;
};

// JSON: {"initializer": {"embedding": 0.5, "linear": "fan_in_normal", "residual_scale": 0.5,
// "head_scale": 0.3, "head_offsets": [[1, 0], [null, null]]}}; "linear" is a number (standard
// deviation), "fan_in_normal" or "fan_in_uniform". Fields that are absent follow
// `initializer_range` (0.02).
struct LlamaInit {
    double embedding = 0.02;      // standard deviation of the embedding table
    nn::InitRule linear;          // matrices
    double residual_scale = 1.0;  // factor for o_proj and down_proj, which add to the residual
    double head_scale = 1.0;      // factor for lm_head
    double qk_bias = 0.0;         // standard deviation of the q bias; the k bias starts equal
    // A row per layer, an entry per key head: the number of tokens by which the head initially
    // looks back, or none (models/head_offsets.h). Empty: no layer has offsets. Needs q and k
    // biases.
    std::vector<std::vector<std::optional<int64_t>>> head_offsets;
    double offset_score = 8.0;  // initial attention score of that token, before softmax
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
    int64_t max_position_embeddings = 0;  // longest sequence
    double rms_norm_eps = 1e-6;
    RopeConfig rope;
    bool qkv_bias = false;     // Qwen2, or Llama's attention_bias
    bool output_bias = false;  // Llama's attention_bias
    bool mlp_bias = false;
    bool tie_word_embeddings = false;
    std::optional<int32_t> bos_token_id, pad_token_id;
    std::vector<int32_t> eos_token_ids;
    LlamaInit init;
    // Remarks on the files that the user should see, one line each. Not saved.
    std::vector<std::string> remarks;

    // `where` names the source in errors: a file or a table of a recipe.
    static LlamaConfig from_json(const Json& json, const std::string& where);
    // The config.json of transformers. `dtype` is the dtype of the stored weights.
    Json to_json(DType dtype) const;
};

// JSON: {"initializer": {"linear": ..., "residual_scale": 0.4, "position": 0.02, "class_token":
// 0.1}}, as for LlamaInit.
struct VisionInit {
    nn::InitRule linear;          // matrices and patch embedding
    double residual_scale = 1.0;  // factor for out_proj and fc2, which add to the residual
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
    // N: the whole patches of a square image.
    int64_t num_patches() const;
    // The rows of one image inside the tower: N, plus 1 for the class token if there is one.
    int64_t num_positions() const { return num_patches() + (has_class_token() ? 1 : 0); }

    // Also reads the configuration of a full CLIPModel or SiglipModel by its `vision_config`.
    static VisionConfig from_json(const Json& json, const std::string& where);
    Json to_json(DType dtype) const;
};

// The projector maps vision features (N, Cv) to language embeddings (N', C).
struct ProjectorConfig {
    // The published projectors, and two of ablations in the VILA paper: Transformer (section 3.1)
    // and LinearDownsample (table 7). models/projector_config.cpp lists the layers of each.
    enum class Kind { Linear, Mlp2xGelu, Mlp3xGelu, Transformer, LinearDownsample, MlpDownsample };
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

// A joined model, or without `vision` a language model alone.
struct VilaConfig {
    LlamaConfig llm;
    std::optional<VisionConfig> vision;
    ProjectorConfig projector;
    std::string image_mode = "pad";   // crop | pad | resize (JSON: image_aspect_ratio)
    int64_t select_layer = -2;        // index into the tower's hidden states
    bool select_class_token = false;  // whether the projector also reads the class token
    // Name of the conversation template; empty if the files name none.
    std::string chat_template;
    // Name of the template for models of this layout that neither name nor carry one.
    std::string fallback_template = "none";

    // The largest number of tiles that an image is cut into (image_layout.h). No layout on disk has
    // a field for it, so join_json() throws if it is more than 1.
    int64_t max_tiles = 1;

    // Returns the rule that cuts an image into tiles and counts its tokens.
    ImageLayout image_layout() const;
    // Fills in the projector's widths and heads from the other parts. Throws when the parts do not
    // fit together.
    void check_and_complete();

    // MODEL/config.json. The parts have files of their own.
    void read_join(const Json& json, const std::string& where);
    Json join_json(DType dtype) const;
};

}  // namespace vila::models
