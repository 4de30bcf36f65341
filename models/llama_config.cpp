// LlamaConfig and RopeConfig: reading, checking and writing, and the rotary frequencies.

#include <cmath>
#include <numbers>

#include "models/config.h"
#include "models/config_fields.h"
#include "models/foreign_directory.h"
#include "tensor/check.h"

namespace vila::models {

namespace {

constexpr const char* kLlama = "LlamaForCausalLM";
constexpr const char* kQwen2 = "Qwen2ForCausalLM";

// `positions` is max_position_embeddings.
RopeConfig read_rope(const JsonFields& fields, int64_t positions) {
    RopeConfig rope;
    rope.theta = fields.positive_number("rope_theta", rope.theta);
    // Newer files have `rope_parameters`, with theta inside; older ones have `rope_scaling`.
    const char* name = fields.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
    if (!fields.has(name)) return rope;
    const JsonFields scaling = fields.object(name);
    rope.theta = scaling.positive_number("rope_theta", rope.theta);
    const std::string kind = scaling.text("rope_type", scaling.text("type", "default"));
    if (kind == "default") return rope;
    rope.factor = scaling.number("factor", 0.0);
    VILA_CHECK(rope.factor >= 1.0, scaling.where(), ": field factor: expected a number from 1");
    if (kind == "linear") {
        rope.kind = RopeConfig::Kind::Linear;
        return rope;
    }
    VILA_CHECK(kind == "llama3", scaling.where(), ": rope type ", kind,
               " is not implemented; expected default, linear or llama3");
    rope.kind = RopeConfig::Kind::Llama3;
    rope.low_freq_factor = scaling.number("low_freq_factor", rope.low_freq_factor);
    rope.high_freq_factor = scaling.number("high_freq_factor", rope.high_freq_factor);
    // As in transformers, the field beside the rule overrides the one in it.
    constexpr const char* kOriginal = "original_max_position_embeddings";
    rope.original_max_positions = fields.integer(kOriginal, scaling.integer(kOriginal, positions));
    VILA_CHECK(0.0 < rope.low_freq_factor && rope.low_freq_factor < rope.high_freq_factor,
               scaling.where(), ": expected 0 < low_freq_factor < high_freq_factor");
    return rope;
}

Json rope_scaling_json(const RopeConfig& rope) {
    if (rope.kind == RopeConfig::Kind::Default) return nullptr;
    if (rope.kind == RopeConfig::Kind::Linear)
        return {{"rope_type", "linear"}, {"type", "linear"}, {"factor", rope.factor}};
    return {{"rope_type", "llama3"},
            {"factor", rope.factor},
            {"low_freq_factor", rope.low_freq_factor},
            {"high_freq_factor", rope.high_freq_factor},
            {"original_max_position_embeddings", rope.original_max_positions}};
}

std::optional<int32_t> read_token_id(const JsonFields& fields, const std::string& name) {
    const std::vector<int32_t> ids = read_token_ids(fields, name);
    if (ids.empty()) return std::nullopt;
    return ids[0];
}

std::vector<std::optional<int64_t>> read_offsets_of_layer(const JsonFields& fields,
                                                          const Json& row) {
    // TOML has no null, so a recipe writes -1.
    const char* expected = "a list for each layer of offsets, or null or -1, for each key head";
    if (!row.is_array()) fields.fail("head_offsets", expected);
    std::vector<std::optional<int64_t>> offsets;
    for (const Json& offset : row) {
        const bool is_none = offset.is_null() || offset == -1;
        const bool is_offset = offset.is_number_integer() && offset.get<int64_t>() >= 0;
        if (!is_none && !is_offset) fields.fail("head_offsets", expected);
        offsets.push_back(is_none ? std::nullopt : std::optional(offset.get<int64_t>()));
    }
    return offsets;
}

LlamaInit read_llama_init(const JsonFields& fields) {
    LlamaInit init;
    const double range = fields.number_from_zero("initializer_range", 0.02);
    init.embedding = range;
    init.linear.scale = range;
    if (!fields.has("initializer")) return init;
    const JsonFields own = fields.object("initializer");
    init.embedding = own.number_from_zero("embedding", init.embedding);
    init.linear = read_init_rule(own, "linear", init.linear);
    init.residual_scale = own.number("residual_scale", init.residual_scale);
    init.head_scale = own.number("head_scale", init.head_scale);
    init.qk_bias = own.number("qk_bias", init.qk_bias);
    init.offset_score = own.number("offset_score", init.offset_score);
    if (!own.has("head_offsets")) return init;
    for (const Json& row : own.raw("head_offsets"))
        init.head_offsets.push_back(read_offsets_of_layer(own, row));
    return init;
}

Json llama_init_json(const LlamaInit& init) {
    Json json = {{"embedding", init.embedding},
                 {"linear", init_rule_json(init.linear)},
                 {"residual_scale", init.residual_scale},
                 {"head_scale", init.head_scale},
                 {"qk_bias", init.qk_bias}};
    if (init.head_offsets.empty()) return json;
    json["offset_score"] = init.offset_score;
    for (const auto& layer : init.head_offsets) {
        Json row = Json::array();
        for (const std::optional<int64_t>& offset : layer)
            row.push_back(offset ? Json(*offset) : Json(nullptr));
        json["head_offsets"].push_back(row);
    }
    return json;
}

// Throws for features that the files can ask for and this program does not implement.
void refuse_unsupported(const Json& json, const JsonFields& fields) {
    const std::string activation = fields.text("hidden_act", "silu");
    VILA_CHECK(activation == "silu", fields.where(), ": field hidden_act: ", activation,
               " is not implemented; expected silu");
    refuse_quantized(json, fields.where());
    if (fields.has("layer_types")) {
        for (const Json& kind : fields.raw("layer_types"))
            VILA_CHECK(kind == "full_attention", fields.where(),
                       ": field layer_types: ", kind.dump(),
                       " is not implemented; expected full_attention");
        return;
    }
    // The layers from max_window_layers on have a sliding window, unless sliding_window is null.
    const bool has_window = fields.has("sliding_window") || !json.contains("sliding_window");
    if (has_window && fields.boolean("use_sliding_window", false)) {
        const int64_t layers = fields.integer("num_hidden_layers");
        const int64_t full = fields.integer("max_window_layers", 28, 0);
        VILA_CHECK(full >= layers, fields.where(),
                   ": fields use_sliding_window and "
                   "max_window_layers: layers from ",
                   full, " of ", layers, " have a sliding window, which is not implemented");
    }
}

void check_sizes(const LlamaConfig& config, const std::string& where) {
    VILA_CHECK(config.num_attention_heads % config.num_key_value_heads == 0, where,
               ": num_attention_heads ", config.num_attention_heads,
               " must be a multiple of num_key_value_heads ", config.num_key_value_heads);
    // Larger than any model. They keep a damaged file from asking for unlimited memory.
    constexpr int64_t kMaxLayers = 1000;
    constexpr int64_t kMaxHeadDim = 4096;
    constexpr int64_t kMaxPositions = int64_t{1} << 22;
    VILA_CHECK(config.num_hidden_layers <= kMaxLayers, where, ": num_hidden_layers ",
               config.num_hidden_layers, ": expected at most ", kMaxLayers);
    VILA_CHECK(config.max_position_embeddings <= kMaxPositions, where, ": max_position_embeddings ",
               config.max_position_embeddings, ": expected at most ", kMaxPositions);
    VILA_CHECK(config.head_dim <= kMaxHeadDim, where, ": head_dim ", config.head_dim,
               ": expected at most ", kMaxHeadDim);
    VILA_CHECK(config.head_dim >= 1, where, ": hidden_size ", config.hidden_size,
               " does not divide into ", config.num_attention_heads,
               " heads (num_attention_heads)");
    VILA_CHECK(config.head_dim % 2 == 0, where, ": head_dim ", config.head_dim,
               " must be even for rotary positions");
    const auto& offsets = config.init.head_offsets;
    if (offsets.empty()) return;
    VILA_CHECK(config.qkv_bias, where, ": head_offsets need q and k biases (Qwen2ForCausalLM)");
    VILA_CHECK_EQ(static_cast<int64_t>(offsets.size()), config.num_hidden_layers, where,
                  ": rows of head_offsets");
    for (const auto& layer : offsets)
        VILA_CHECK_EQ(static_cast<int64_t>(layer.size()), config.num_key_value_heads, where,
                      ": entries of a row of head_offsets");
}

}  // namespace

std::vector<double> RopeConfig::frequencies(int64_t head_dim) const {
    std::vector<double> result;
    for (int64_t j = 0; j < head_dim / 2; ++j) {
        const double exponent = 2.0 * static_cast<double>(j) / static_cast<double>(head_dim);
        const double plain = std::pow(theta, -exponent);
        if (kind == Kind::Default) {
            result.push_back(plain);
            continue;
        }
        const double wavelength = 2.0 * std::numbers::pi / plain;
        const double original = static_cast<double>(original_max_positions);
        if (kind == Kind::Linear || wavelength > original / low_freq_factor) {
            result.push_back(plain / factor);
        } else if (wavelength < original / high_freq_factor) {
            result.push_back(plain);
        } else {
            const double kept =
                (original / wavelength - low_freq_factor) / (high_freq_factor - low_freq_factor);
            result.push_back(plain * ((1.0 - kept) / factor + kept));
        }
    }
    return result;
}

LlamaConfig LlamaConfig::from_json(const Json& json, const std::string& where) {
    const JsonFields fields(json, where);
    LlamaConfig config;
    config.architecture = architecture_of(fields, language_models());
    refuse_unsupported(json, fields);
    config.vocab_size = fields.integer("vocab_size");
    config.hidden_size = fields.integer("hidden_size");
    config.intermediate_size = fields.integer("intermediate_size");
    config.num_hidden_layers = fields.integer("num_hidden_layers");
    config.num_attention_heads = fields.integer("num_attention_heads");
    config.num_key_value_heads = fields.integer("num_key_value_heads", config.num_attention_heads);
    config.head_dim = fields.integer("head_dim", config.hidden_size / config.num_attention_heads);
    config.max_position_embeddings = fields.integer("max_position_embeddings", 2048);
    config.rms_norm_eps = fields.positive_number("rms_norm_eps", config.rms_norm_eps);
    config.rope = read_rope(fields, config.max_position_embeddings);
    const bool attention_bias = fields.boolean("attention_bias", false);
    config.qkv_bias = config.architecture == kQwen2 || attention_bias;
    config.output_bias = config.architecture == kLlama && attention_bias;
    config.mlp_bias = fields.boolean("mlp_bias", false);
    config.tie_word_embeddings = fields.boolean("tie_word_embeddings", false);
    config.bos_token_id = read_token_id(fields, "bos_token_id");
    config.pad_token_id = read_token_id(fields, "pad_token_id");
    config.eos_token_ids = read_token_ids(fields, "eos_token_id");
    config.init = read_llama_init(fields);
    check_sizes(config, where);
    return config;
}

Json LlamaConfig::to_json(DType dtype) const {
    Json json = {
        {"architectures", {architecture}},
        {"model_type", architecture == kQwen2 ? "qwen2" : "llama"},
        {"vocab_size", vocab_size},
        {"hidden_size", hidden_size},
        {"intermediate_size", intermediate_size},
        {"num_hidden_layers", num_hidden_layers},
        {"num_attention_heads", num_attention_heads},
        {"num_key_value_heads", num_key_value_heads},
        {"head_dim", head_dim},
        {"hidden_act", "silu"},
        {"max_position_embeddings", max_position_embeddings},
        {"rms_norm_eps", rms_norm_eps},
        {"rope_theta", rope.theta},
        {"rope_scaling", rope_scaling_json(rope)},
        {"tie_word_embeddings", tie_word_embeddings},
        {"torch_dtype", torch_dtype_name(dtype)},
    };
    if (architecture == kLlama) {
        json["attention_bias"] = output_bias;
        json["mlp_bias"] = mlp_bias;
    } else {
        json["use_sliding_window"] = false;
    }
    if (bos_token_id) json["bos_token_id"] = *bos_token_id;
    if (pad_token_id) json["pad_token_id"] = *pad_token_id;
    if (eos_token_ids.size() == 1) json["eos_token_id"] = eos_token_ids[0];
    if (eos_token_ids.size() > 1) json["eos_token_id"] = eos_token_ids;
    json["initializer"] = llama_init_json(init);
    return json;
}

}  // namespace vila::models
