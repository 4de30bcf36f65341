#include "models/vila.h"

#include <set>

#include "autograd/ops.h"
#include "models/head_offsets.h"
#include "nn/name_pattern.h"
#include "tensor/nearest_name.h"

namespace vila::models {

using autograd::Variable;

namespace {

VilaConfig completed(VilaConfig config) {
    config.check_and_complete();
    return config;
}

// The rows of the tower's output without the class token of each image: (B * N) i32.
Tensor patch_rows(Device& device, int64_t images, const VisionConfig& vision) {
    std::vector<int32_t> rows;
    for (int64_t b = 0; b < images; ++b)
        for (int64_t n = 1; n < vision.num_positions(); ++n)
            rows.push_back(static_cast<int32_t>(b * vision.num_positions() + n));
    return Tensor::from_values(device, {static_cast<int64_t>(rows.size())}, rows);
}

PackedRows packed_rows(const Batch& batch) {
    return {.positions = batch.positions,
            .cu_seqlens = batch.cu_seqlens,
            .image_rows = batch.image_rows};
}

}  // namespace

VilaModel::VilaModel(const VilaConfig& config, Device& device, DType dtype)
    : config_(completed(config)), device_(device), dtype_(dtype) {
    if (config_.vision) {
        vit_ = std::make_unique<Vit>(*config_.vision, vision_table_);
        projector_ = std::make_unique<Projector>(config_.projector, projector_table_);
    }
    llm_ = std::make_unique<Llama>(config_.llm, llm_table_, device, dtype);
}

void VilaModel::initialize(uint64_t seed) {
    initialize_vision_tower(seed);
    initialize_projector(seed);
    initialize_llm(seed);
}

void VilaModel::initialize_llm(uint64_t seed) {
    llm_table_.initialize(device_, dtype_, seed, false);
    set_head_offsets(config_.llm, llm_table_, seed);
}

void VilaModel::initialize_vision_tower(uint64_t seed) {
    vision_table_.initialize(device_, dtype_, seed, false);
}

void VilaModel::initialize_projector(uint64_t seed) {
    projector_table_.initialize(device_, dtype_, seed, false);
}

void VilaModel::set_trainable(const Trainable& trainable) {
    llm_table_.set_trainable(trainable.llm);
    if (!has_vision()) return;
    projector_table_.set_trainable(trainable.projector);
    vision_table_.set_trainable(trainable.vision_tower);
    vit_->freeze_after(config_.select_layer);
}

void VilaModel::set_trainable(std::span<const std::string> patterns) {
    const char* prefixes[] = {"vision_tower.", "mm_projector.", "llm."};
    std::vector<std::string> names;
    std::set<std::string> unmatched(patterns.begin(), patterns.end());
    for (size_t i = 0; i < std::size(prefixes); ++i)
        tables()[i]->set_trainable([&](const nn::Parameter& parameter) {
            const std::string& name = names.emplace_back(prefixes[i] + parameter.name);
            bool trains = false;
            for (const std::string& pattern : patterns) {
                if (!nn::matches(pattern, name)) continue;
                unmatched.erase(pattern);
                trains = true;
            }
            return trains;
        });
    for (const std::string& pattern : unmatched)
        throw Error(str("no weight matches ", pattern, "; the nearest name is ",
                        nearest_name(pattern, names)));
    if (has_vision()) vit_->freeze_after(config_.select_layer);
}

Trainable VilaModel::trainable_parts() const {
    return {.llm = llm_table_.any_trainable(),
            .projector = projector_table_.any_trainable(),
            .vision_tower = vision_table_.any_trainable()};
}

void VilaModel::set_block_hook(nn::BlockHook* hook) {
    llm_->block_hook = hook;
    if (vit_) vit_->block_hook = hook;
}

std::vector<nn::Parameter*> VilaModel::trainable_parameters() {
    std::vector<nn::Parameter*> parameters;
    for (nn::ParameterTable* table : tables())
        for (nn::Parameter& parameter : *table)
            if (parameter.trainable()) parameters.push_back(&parameter);
    return parameters;
}

Variable VilaModel::image_features(const Tensor& pixels) const {
    VILA_CHECK(has_vision(), "this model has no vision tower: it cannot read images");
    const Variable state = vit_->hidden_state(pixels.to(dtype_), config_.select_layer,
                                              activation_checkpointing_);  // (I * positions, Cv)
    if (config_.select_class_token || !config_.vision->has_class_token()) return state;
    return autograd::gather_rows(state, patch_rows(device_, pixels.size(0), *config_.vision));
}

Variable VilaModel::project(const Variable& features) const {
    VILA_CHECK(has_vision(), "this model has no projector: it cannot read images");
    return (*projector_)(features, config_.image_layout().tiles_of_features(features.size(0)));
}

Variable VilaModel::embed(const Batch& batch) const {
    VILA_CHECK(batch.longest <= config_.llm.max_position_embeddings, "a sequence of ",
               batch.longest, " positions: the model has ", config_.llm.max_position_embeddings);
    const Variable text = llm_->embed(batch.ids);  // (R, C)
    if (!batch.has_images()) return text;
    const Variable features = batch.features.defined() ? Variable(batch.features.to(dtype_))
                                                       : image_features(batch.pixels);
    const Variable tokens = project(features);  // (image tokens, C)
    VILA_CHECK_EQ(tokens.size(0), batch.image_rows.size(0), "image tokens for their rows");
    return autograd::splice_rows(text, tokens, batch.image_rows);
}

Variable VilaModel::loss(const Batch& batch, double loss_scale, Tensor* row_losses) const {
    const Variable hidden =
        llm_->hidden(embed(batch), packed_rows(batch), activation_checkpointing_);  // (R, C)
    const Variable predicting = autograd::gather_rows(hidden, batch.loss_rows);     // (M, C)
    return autograd::linear_cross_entropy(predicting, llm_->head_weight(), batch.targets,
                                          loss_scale, row_losses);
}

Tensor VilaModel::logits(const Batch& batch) const {
    const autograd::NoGrad no_grad(device_);
    const Variable hidden = llm_->hidden(embed(batch), packed_rows(batch), false);  // (R, C)
    return llm_->logits(hidden).value();
}

}  // namespace vila::models
