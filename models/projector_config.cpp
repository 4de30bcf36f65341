// ProjectorConfig: the table of kinds; reading and writing.

#include <algorithm>

#include "models/config.h"
#include "models/config_fields.h"
#include "tensor/check.h"
#include "tensor/name_list.h"

namespace vila::models {

namespace {

using Kind = ProjectorConfig::Kind;
using Layer = ProjectorConfig::Layer;

constexpr Layer kLinear[] = {Layer::Linear};
constexpr Layer kMlp2xGelu[] = {Layer::Linear, Layer::Gelu, Layer::Linear};
constexpr Layer kMlp3xGelu[] = {Layer::Linear, Layer::Gelu, Layer::Linear, Layer::Gelu,
                                Layer::Linear};
constexpr Layer kTransformer[] = {Layer::Linear, Layer::Block, Layer::LayerNorm, Layer::Linear};
constexpr Layer kLinearDownsample[] = {Layer::Merge, Layer::Linear};
constexpr Layer kMlpDownsample[] = {Layer::Merge, Layer::LayerNorm, Layer::Linear, Layer::Gelu,
                                    Layer::Linear};

struct KindRow {
    Kind kind;
    const char* name;
    std::span<const Layer> layers;
};
constexpr KindRow kKinds[] = {
    {Kind::Linear, "linear", kLinear},
    {Kind::Mlp2xGelu, "mlp2x_gelu", kMlp2xGelu},
    {Kind::Mlp3xGelu, "mlp3x_gelu", kMlp3xGelu},
    {Kind::Transformer, "transformer", kTransformer},
    {Kind::LinearDownsample, "linear_downsample", kLinearDownsample},
    {Kind::MlpDownsample, "mlp_downsample", kMlpDownsample},
};

const KindRow& row_of(Kind kind) {
    const auto row = std::ranges::find(kKinds, kind, &KindRow::kind);
    VILA_ASSERT(row != std::end(kKinds));
    return *row;
}

}  // namespace

ProjectorConfig::Kind ProjectorConfig::kind_from_name(const std::string& name) {
    for (const KindRow& row : kKinds)
        if (row.name == name) return row.kind;
    throw Error(
        str("projector type ", name, " is not implemented; expected ", name_list(kind_names())));
}

const char* ProjectorConfig::kind_name(Kind kind) {
    return row_of(kind).name;
}

std::vector<std::string> ProjectorConfig::kind_names() {
    std::vector<std::string> names;
    for (const KindRow& row : kKinds) names.push_back(row.name);
    return names;
}

std::span<const ProjectorConfig::Layer> ProjectorConfig::layers() const {
    return row_of(kind).layers;
}

bool ProjectorConfig::has(Layer layer) const {
    return std::ranges::find(layers(), layer) != layers().end();
}

ProjectorConfig::TokenOrder ProjectorConfig::order_from_name(const std::string& name) {
    VILA_CHECK(name == "column" || name == "row", "token order \"", name,
               "\": expected column or row");
    return name == "column" ? TokenOrder::Column : TokenOrder::Row;
}

const char* ProjectorConfig::order_name(TokenOrder order) {
    return order == TokenOrder::Column ? "column" : "row";
}

int64_t ProjectorConfig::num_tokens(int64_t patches) const {
    if (!has(Layer::Merge)) return patches;
    int64_t side = 0;
    while ((side + 1) * (side + 1) <= patches) ++side;
    VILA_CHECK_EQ(side * side, patches, "projector ", kind_name(kind),
                  " needs a square grid of features; features");
    for (const Layer layer : layers())
        if (layer == Layer::Merge) side = (side + 1) / 2;
    return side * side;
}

ProjectorConfig ProjectorConfig::from_json(const Json& json, const std::string& where,
                                           TokenOrder older_order) {
    const JsonFields fields(json, where);
    ProjectorConfig config;
    std::string type = fields.text("mm_projector_type");
    config.token_order = older_order;
    // NVILA's name for mlp_downsample in row order.
    if (type == "mlp_downsample_2x2_fix") {
        type = "mlp_downsample";
        config.token_order = TokenOrder::Row;
    }
    try {
        config.kind = kind_from_name(type);
        if (fields.has("token_order"))
            config.token_order = order_from_name(fields.text("token_order"));
    } catch (const Error& error) {
        throw Error(str(where, ": ", error.what()));
    }
    config.mm_hidden_size = fields.integer("mm_hidden_size", 0);
    config.hidden_size = fields.integer("hidden_size", 0);
    config.num_attention_heads = fields.integer("num_attention_heads", 0, 0);
    if (fields.has("initializer"))
        config.init = read_init_rule(fields.object("initializer"), "linear", config.init);
    return config;
}

Json ProjectorConfig::to_json(DType dtype) const {
    Json json = {
        {"architectures", {"MultimodalProjector"}},
        {"model_type", "v2l_projector"},
        {"mm_projector_type", kind_name(kind)},
        {"mm_hidden_size", mm_hidden_size},
        {"hidden_size", hidden_size},
        {"torch_dtype", torch_dtype_name(dtype)},
    };
    if (has(Layer::Merge)) json["token_order"] = order_name(token_order);
    if (has(Layer::Block)) json["num_attention_heads"] = num_attention_heads;
    json["initializer"] = {{"linear", init_rule_json(init)}};
    return json;
}

}  // namespace vila::models
