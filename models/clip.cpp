#include "models/clip.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "autograd/ops.h"

namespace vila::models {

using autograd::Variable;

namespace {

constexpr double kLargestLogitScale = 4.605170185988092;  // ln 100

nn::EncoderBlockConfig block_config(const ClipTextConfig& text) {
    return {.width = text.hidden_size,
            .intermediate = text.intermediate_size,
            .heads = text.num_attention_heads,
            .layer_norm_eps = text.layer_norm_eps,
            .activation = text.activation,
            .causal = true,
            .init = text.init.linear,
            .residual_scale = text.init.residual_scale};
}

std::vector<nn::EncoderBlock> blocks(const ClipTextConfig& text, nn::ParameterTable& table) {
    std::vector<nn::EncoderBlock> layers;
    for (int64_t i = 0; i < text.num_hidden_layers; ++i)
        layers.emplace_back(table, str("text_model.encoder.layers.", i), block_config(text));
    return layers;
}

nn::Linear projection(const ClipTextConfig& text, nn::ParameterTable& table,
                      const std::string& name, int64_t inputs) {
    return {table, name, inputs, text.projection_dim, {.weight = text.init.linear(inputs)}};
}

// (B) i32: row i of one side matches row i of the other.
Tensor diagonal_targets(Device& device, int64_t pairs) {
    std::vector<int32_t> targets(static_cast<size_t>(pairs));
    std::iota(targets.begin(), targets.end(), 0);
    return Tensor::from_values(device, {pairs}, targets);
}

}  // namespace

ClipTextConfig ClipTextConfig::for_tower(const VisionConfig& vision, int64_t vocab_size,
                                         int64_t max_positions) {
    return {.vocab_size = vocab_size,
            .hidden_size = vision.hidden_size,
            .intermediate_size = 4 * vision.hidden_size,
            .num_hidden_layers = 2,
            .num_attention_heads = vision.num_attention_heads,
            .max_position_embeddings = max_positions,
            .projection_dim = vision.hidden_size,
            .layer_norm_eps = vision.layer_norm_eps,
            .activation = vision.activation,
            .init = vision.init};
}

ClipBatch make_clip_batch(Device& device, const std::vector<Sequence>& sequences) {
    std::vector<std::vector<int32_t>> captions;
    for (const Sequence& sequence : sequences) {
        VILA_CHECK_EQ(sequence.images.size(), size_t{1}, "images of a pair");
        VILA_CHECK_EQ(sequence.images[0].shape.rank(), 3, "axes of an image's pixels");
        std::vector<int32_t>& caption = captions.emplace_back();
        std::copy_if(sequence.ids.begin(), sequence.ids.end(), std::back_inserter(caption),
                     [](int32_t id) { return id != kImageToken; });
        VILA_CHECK(!caption.empty(), "a pair without a caption");
    }
    std::vector<Sequence> texts;
    for (const std::vector<int32_t>& caption : captions) texts.push_back({caption, {}, {}});
    const Batch text = make_batch(device, texts);
    ClipBatch batch;
    batch.ids = text.ids;
    batch.positions = text.positions;
    batch.cu_seqlens = text.cu_seqlens;
    batch.longest = text.longest;
    std::vector<int32_t> last_rows = text.cu_seqlens.to_vector<int32_t>();
    last_rows.erase(last_rows.begin());
    for (int32_t& row : last_rows) --row;
    batch.last_rows =
        Tensor::from_values(device, {static_cast<int64_t>(last_rows.size())}, last_rows);
    batch.pixels = stack_images(device, sequences);
    return batch;
}

ClipModel::ClipModel(const VisionConfig& vision, const ClipTextConfig& text, Device& device,
                     DType dtype)
    : text_(text),
      device_(device),
      dtype_(dtype),
      vit_(vision, vision_table_),
      token_embedding_(text_table_, "text_model.embeddings.token_embedding", text.vocab_size,
                       text.hidden_size, {nn::InitKind::Normal, text.init.position}),
      position_embedding_(text_table_, "text_model.embeddings.position_embedding",
                          text.max_position_embeddings, text.hidden_size,
                          {nn::InitKind::Normal, text.init.position}),
      layers_(blocks(text, text_table_)),
      final_layer_norm_(text_table_, "text_model.final_layer_norm", text.hidden_size,
                        text.layer_norm_eps),
      visual_projection_(projection(text, text_table_, "visual_projection", vision.hidden_size)),
      text_projection_(projection(text, text_table_, "text_projection", text.hidden_size)),
      logit_scale_(&text_table_.declare({.name = "logit_scale",
                                         .shape = {},
                                         .axes = "()",
                                         .init = {nn::InitKind::Constant, text.logit_scale}})) {}

void ClipModel::initialize(uint64_t seed) {
    vision_table_.initialize(device_, dtype_, seed, true);
    text_table_.initialize(device_, dtype_, seed, true);
}

std::vector<nn::Parameter*> ClipModel::trainable_parameters() {
    std::vector<nn::Parameter*> parameters;
    for (nn::ParameterTable* table : {&vision_table_, &text_table_})
        for (nn::Parameter& parameter : *table)
            if (parameter.trainable()) parameters.push_back(&parameter);
    return parameters;
}

Variable ClipModel::image_embeddings(const Tensor& pixels) const {
    const int64_t images = pixels.size(0);
    const int64_t positions = vit_.config().num_positions();
    const Variable state =
        vit_.hidden_state(pixels.to(dtype_), -1, activation_checkpointing_);  // (B * positions, Cv)
    Variable pooled;                                                          // (B, Cv)
    if (vit_.config().has_class_token()) {
        std::vector<int32_t> rows;
        for (int64_t b = 0; b < images; ++b) rows.push_back(static_cast<int32_t>(b * positions));
        const Variable tokens =
            autograd::gather_rows(state, Tensor::from_values(device_, {images}, rows));  // (B, Cv)
        pooled = vit_.post_layernorm(tokens);
    } else {
        pooled = autograd::mean_rows(vit_.post_layernorm(state),
                                     autograd::equal_cu_seqlens(device_, images, positions));
    }
    return autograd::l2_normalize(visual_projection_(pooled));
}

Variable ClipModel::text_embeddings(const ClipBatch& batch) const {
    VILA_CHECK(batch.longest <= text_.max_position_embeddings, "a caption of ", batch.longest,
               " tokens: the text tower has ", text_.max_position_embeddings, " positions");
    Variable x = autograd::add(token_embedding_(batch.ids),
                               position_embedding_(batch.positions));  // (R, C)
    for (const nn::EncoderBlock& layer : layers_) x = layer(x, batch.cu_seqlens);
    const Variable last = autograd::gather_rows(final_layer_norm_(x), batch.last_rows);  // (B, C)
    return autograd::l2_normalize(text_projection_(last));
}

Variable ClipModel::loss(const ClipBatch& batch, double loss_scale) const {
    const Variable images = image_embeddings(batch.pixels);  // (B, projection_dim)
    const Variable texts = text_embeddings(batch);           // (B, projection_dim)
    return loss(images, texts, loss_scale);
}

Variable ClipModel::loss(const Variable& images, const Variable& texts, double loss_scale,
                         bool fixed_temperature) const {
    const Variable temperature =
        fixed_temperature ? logit_scale_->variable.detach() : logit_scale_->variable;
    const Variable scale = autograd::exp(autograd::reshape(temperature, {1, 1}));  // (1, 1)
    const int64_t pairs = images.size(0);
    const Tensor targets = diagonal_targets(device_, pairs);  // (B)
    const double each = loss_scale / (2.0 * static_cast<double>(pairs));
    return autograd::add(
        autograd::linear_cross_entropy(autograd::mul(images, scale), texts, targets, each),
        autograd::linear_cross_entropy(autograd::mul(texts, scale), images, targets, each));
}

Tensor ClipModel::similarity(const ClipBatch& batch) const {
    const autograd::NoGrad no_grad(device_);
    const Variable cosines = autograd::matmul(image_embeddings(batch.pixels),
                                              text_embeddings(batch), false, true);  // (B, B)
    return cosines.value().to(DType::F32);
}

void ClipModel::cap_temperature() {
    const Tensor& value = logit_scale_->variable.value();
    if (value.item() > kLargestLogitScale) value.fill(kLargestLogitScale);
}

}  // namespace vila::models
