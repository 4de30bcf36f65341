#include "tools/train/contrastive_stage.h"

#include "autograd/variable.h"
#include "dist/tensor_collectives.h"
#include "tools/base/flops.h"
#include "tools/base/image_source.h"

namespace vila::tools {

namespace fs = std::filesystem;

namespace {

// Defaults: crop images, and use captions without a chat template.
constexpr const char* kImageMode = "crop";
constexpr const char* kTemplate = "plain";

std::unique_ptr<models::ClipModel> make_model(const Recipe& recipe,
                                              const data::Tokenizer& tokenizer, Device& device) {
    const models::VisionConfig vision = recipe_vision_config(recipe.model);
    const models::ClipTextConfig text =
        models::ClipTextConfig::for_tower(vision, tokenizer.vocab_size(), recipe.data.max_length);
    const DType dtype = dtype_from_name(recipe.train.dtype);
    auto model = std::make_unique<models::ClipModel>(vision, text, device, dtype);
    model->initialize(static_cast<uint64_t>(recipe.train.seed));
    if (recipe.model.vision_config.empty()) {
        const std::string& tower = recipe.model.vision_tower;
        models::ModelDirectory(tower.empty() ? recipe.model.init : tower)
            .load_part(models::Part::VisionTower, model->vision_table(), device, dtype);
        model->vision_table().set_trainable(true);
    }
    model->set_activation_checkpointing(recipe.train.activation_checkpointing);
    return model;
}

}  // namespace

ContrastiveStage::ContrastiveStage(const Recipe& recipe, const fs::path& tokenizer_directory,
                                   dist::Collectives& ranks, Device& device)
    : recipe_(recipe),
      ranks_(ranks),
      tokenizer_(data::load_tokenizer(tokenizer_directory)),
      chat_(given_template(recipe, tokenizer_directory)
                .value_or(data::ChatTemplate::named(kTemplate))),
      model_(make_model(recipe, *tokenizer_, device)),
      processor_(make_image_processor(recipe, model_->vision_config(),
                                      recipe.data.image_mode.value_or(kImageMode))) {
    for (const SourceRecipe& source : recipe.data.sources)
        VILA_CHECK(source.format == "pairs", "data source ", source.name, " has format ",
                   source.format, ": stage clip learns from pairs");
    VILA_CHECK(ranks.ranks() == 1 || !recipe.train.rank_invariant,
               "stage clip does not support train.rank_invariant on several ranks: each rank runs "
               "its share of the pairs as one micro-batch");
    VILA_CHECK(recipe.train.global_batch >= 2,
               "train.global_batch is 1: contrastive training compares pairs with each other");
}

std::vector<ParameterGroup> ContrastiveStage::groups() {
    const OptimizerRecipe& optimizer = recipe_.optimizer;
    ParameterGroup tower = {"vision_tower", {}, optimizer.vision_tower_lr.value_or(optimizer.lr)};
    for (nn::Parameter& parameter : model_->vision_table()) tower.parameters.push_back(&parameter);
    ParameterGroup text = {"text", {}, optimizer.lr};
    for (nn::Parameter& parameter : model_->text_table()) text.parameters.push_back(&parameter);
    return {tower, text};
}

data::ImageLoader ContrastiveStage::image_loader() {
    return [this](const data::ImageRef& image, uint64_t draw) {
        return load_pixels(image, processor_, models::ImageLayout(), recipe_.data.random_crop,
                           draw);
    };
}

data::ImageTokens ContrastiveStage::image_tokens() {
    return image_token_counter(models::ImageLayout());
}

StepResult ContrastiveStage::accumulate(const data::StepBatch& batch, const StepContext& step) {
    VILA_CHECK_EQ(batch.micro_batches.size(), size_t{1}, "micro-batches of a contrastive step");
    std::vector<models::Sequence> sequences;
    for (const data::LoadedSample& loaded : batch.micro_batches[0].samples) {
        models::Sequence sequence{
            .ids = loaded.sample.ids, .labels = loaded.sample.labels, .images = {}};
        for (const data::LoadedImage& image : loaded.images)
            sequence.images.push_back({image.shape, image.values, image.tokens});
        sequences.push_back(std::move(sequence));
    }
    const models::ClipBatch pairs = models::make_clip_batch(model_->device(), sequences);
    double loss = 0.0;
    if (ranks_.ranks() == 1) {
        const autograd::Variable whole = model_->loss(pairs, 1.0);
        autograd::backward(whole);
        loss = whole.value().item();
    } else {
        loss = backward_over_ranks(pairs);
    }
    step.after_micro_batch();

    StepResult result;
    if (ranks_.rank() == 0) result.loss.add(loss);
    // Each pair is compared with all others, so the loss cannot be divided among several sources.
    if (recipe_.data.sources.size() == 1) {
        SourceLoss& source = result.sources.emplace_back();
        source.sum.add(loss * static_cast<double>(pairs.pairs()));
        source.count = pairs.pairs();
    }
    result.flops = step_flops(pairs.pairs(), pairs.ids.size(0));
    return result;
}

double ContrastiveStage::backward_over_ranks(const models::ClipBatch& pairs) {
    const autograd::Variable own[] = {model_->image_embeddings(pairs.pixels),
                                      model_->text_embeddings(pairs)};
    std::vector<autograd::Variable> all;
    for (const autograd::Variable& embeddings : own) {
        const Tensor mine = embeddings.value().contiguous();
        const Tensor whole = Tensor::empty(
            mine.device(), {ranks_.ranks() * mine.size(0), mine.size(1)}, mine.dtype());
        dist::all_gather(ranks_, mine, whole);
        all.emplace_back(whole, true);
    }
    // Every rank computes the whole gradient of the temperature; only rank 0 contributes it.
    const autograd::Variable loss = model_->loss(all[0], all[1], 1.0, ranks_.rank() != 0);
    autograd::backward(loss);
    const int64_t begin = ranks_.rank() * pairs.pairs();
    for (size_t i = 0; i < all.size(); ++i)
        autograd::backward(
            own[i],
            all[i].grad().slice(0, begin, begin + pairs.pairs()).contiguous().to(own[i].dtype()));
    return loss.value().item();
}

double ContrastiveStage::step_flops(int64_t pairs, int64_t text_rows) const {
    const models::VisionConfig& vision = model_->vision_config();
    const auto positions = static_cast<double>(vision.num_positions());
    const double image = 2.0 * matrix_values(model_->vision_table()) * positions +
                         4.0 * positions * positions *
                             static_cast<double>(vision.hidden_size * vision.num_hidden_layers);
    const double text = 2.0 * matrix_values(model_->text_table()) * static_cast<double>(text_rows);
    return 3.0 * (image * static_cast<double>(pairs) + text);
}

void ContrastiveStage::save(const fs::path& directory) {
    models::save_vision_tower(model_->vision_config(), model_->vision_table(), directory,
                              model_->dtype(),
                              {{"vision_tower/preprocessor_config.json",
                                data::image_processor_config_text(processor_.config())}});
}

}  // namespace vila::tools
