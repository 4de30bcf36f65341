#include "tools/train/language_stage.h"

#include <algorithm>

#include "autograd/variable.h"
#include "models/batch.h"
#include "tensor/random.h"
#include "tools/base/hash64.h"
#include "tools/base/image_source.h"
#include "tools/base/units.h"

namespace vila::tools {

namespace fs = std::filesystem;

LanguageStage::LanguageStage(const Recipe& recipe, const fs::path& run,
                             const fs::path& tokenizer_directory, int64_t rank, Device& device,
                             const std::function<void(const std::string& line)>& warn)
    : recipe_(recipe),
      run_(run),
      tokenizer_directory_(tokenizer_directory),
      tokenizer_(data::load_tokenizer(tokenizer_directory)),
      chat_(recipe_template(recipe, tokenizer_directory)),
      model_(make_recipe_model(recipe, *tokenizer_, chat_, device)),
      unchanged_(open_unchanged_parts(recipe, *model_)),
      trains_tower_(model_->trainable_parts().vision_tower) {
    for (const std::string& remark : model_->config().llm.remarks) warn(remark);
    flops_.emplace(*model_, model_->trainable_parts());
    if (!model_->has_vision()) return;
    const data::ImageProcessor processor =
        make_image_processor(recipe, *model_->config().vision, model_->config().image_mode);
    const bool keeps_features = !trains_tower_ && recipe.train.cache_features;
    VILA_CHECK(!keeps_features || recipe.data.random_crop == 1.0, "data.random_crop is ",
               recipe.data.random_crop,
               ": the features of a frozen tower are computed once per image; set "
               "train.cache_features = false or trainable.vision_tower = true");
    TrainingImageOptions options;
    options.random_crop = recipe.data.random_crop;
    options.frozen_tower = !trains_tower_;
    if (keeps_features) options.cache = open_feature_cache(processor, rank, warn);
    images_.emplace(*model_, processor, std::move(options));
}

std::unique_ptr<FeatureCache> LanguageStage::open_feature_cache(
    const data::ImageProcessor& processor, int64_t rank,
    const std::function<void(const std::string& line)>& warn) const {
    const models::VilaConfig& config = model_->config();
    const std::string facts =
        str(hash_frozen(model_->vision_table()), ' ', config.select_layer, ' ',
            config.select_class_token, ' ', config.image_mode, ' ', recipe_.train.dtype, ' ',
            data::image_processor_config_text(processor.config()), ' ', config.max_tiles);
    return std::make_unique<FeatureCache>(FeatureCacheOptions{
        .width = config.vision->hidden_size,
        .dtype = model_->dtype(),
        .memory_bytes = static_cast<int64_t>(recipe_.train.feature_cache_gb * kGigabyte),
        .file = run_ / "cache" / (rank == 0 ? "features.bin" : str("features-", rank, ".bin")),
        .fingerprint = hash64(facts.data(), static_cast<int64_t>(facts.size())),
        .warn = warn});
}

std::vector<ParameterGroup> LanguageStage::groups() {
    const OptimizerRecipe& optimizer = recipe_.optimizer;
    std::vector<ParameterGroup> groups;
    const auto add = [&](const char* name, nn::ParameterTable& table, double lr) {
        ParameterGroup group = {name, {}, lr};
        for (nn::Parameter& parameter : table)
            if (parameter.trainable()) group.parameters.push_back(&parameter);
        if (!group.parameters.empty()) groups.push_back(std::move(group));
    };
    add("vision_tower", model_->vision_table(), optimizer.vision_tower_lr.value_or(optimizer.lr));
    add("projector", model_->projector_table(), optimizer.projector_lr.value_or(optimizer.lr));
    add("llm", model_->llm_table(), optimizer.lr);
    return groups;
}

data::ImageTokens LanguageStage::image_tokens() {
    if (!images_) return image_token_counter(model_->config().image_layout());
    return [this](const data::ImageRef& image) { return images_->count_tokens(image); };
}

double LanguageStage::sample_cost(int64_t positions, int64_t image_positions) const {
    // The features of a frozen tower are in the cache after the first epoch.
    const int64_t tiles = image_positions / model_->config().image_layout().tile_tokens;
    return flops_->step({.lengths = {positions},
                         .targets = positions / 2,
                         .image_tokens = image_positions,
                         .encoded_tiles = trains_tower_ ? tiles : 0});
}

data::ImageLoader LanguageStage::image_loader() {
    return [this](const data::ImageRef& image, uint64_t draw) {
        VILA_CHECK(images_.has_value(), image.path,
                   ": the model of this run has no vision tower: expected samples without images");
        return images_->load(image, draw);
    };
}

StepResult LanguageStage::accumulate(const data::StepBatch& batch, const StepContext& step) {
    StepResult result;
    result.sources.resize(recipe_.data.sources.size());
    StepWork work{.lengths = {}, .targets = batch.targets};
    models::Batch next;
    for (size_t i = 0; i < batch.micro_batches.size(); ++i) {
        const data::MicroBatch& micro = batch.micro_batches[i];
        const models::Batch rows = i == 0 ? prepare(micro, work) : std::move(next);
        Tensor row_losses;
        const autograd::Variable loss =
            model_->loss(rows, 1.0 / static_cast<double>(step.targets), &row_losses);
        // If only the projector is trainable, samples without images give no gradient.
        if (loss.requires_grad()) autograd::backward(loss);
        step.after_micro_batch();
        // A GPU still computes this micro-batch; add_losses() waits for it. Copy the next one
        // first.
        if (i + 1 < batch.micro_batches.size()) next = prepare(batch.micro_batches[i + 1], work);
        add_losses(micro, row_losses, result);
    }
    for (const SourceLoss& source : result.sources) result.loss.add(source.sum);
    result.loss_count = static_cast<double>(step.targets);
    if (images_) work.encoded_tiles = images_->take_encoded_tiles();
    result.flops = flops_->step(work);
    return result;
}

models::Batch LanguageStage::prepare(const data::MicroBatch& micro, StepWork& work) {
    std::vector<data::LoadedImage> images;  // `sequences` refer to their values
    if (images_) images = images_->inputs(micro);
    std::vector<models::Sequence> sequences;
    size_t next = 0;
    for (const data::LoadedSample& loaded : micro.samples) {
        models::Sequence sequence{
            .ids = loaded.sample.ids, .labels = loaded.sample.labels, .images = {}};
        for (size_t i = 0; i < loaded.images.size(); ++i, ++next)
            sequence.images.push_back(
                {images[next].shape, images[next].values, images[next].tokens});
        sequences.push_back(std::move(sequence));
        work.lengths.push_back(data::spliced_length(loaded.sample));
        work.image_tokens += data::image_positions(loaded.sample);
    }
    return models::make_batch(model_->device(), sequences);
}

void LanguageStage::add_losses(const data::MicroBatch& micro, const Tensor& row_losses,
                               StepResult& result) {
    const std::vector<double> losses = row_losses.to_vector<double>();
    size_t next = 0;
    for (const data::LoadedSample& loaded : micro.samples) {
        SourceLoss& source = result.sources[static_cast<size_t>(loaded.sample.source)];
        const int64_t targets = data::count_targets(loaded.sample);
        for (int64_t i = 0; i < targets; ++i) source.sum.add(losses.at(next++));
        source.count += targets;
    }
    VILA_CHECK_EQ(next, losses.size(), "rows with a target in a micro-batch");
}

void LanguageStage::save(const fs::path& directory) {
    std::vector<models::ExtraFile> extra = tokenizer_files(tokenizer_directory_, "llm/");
    if (recipe_.data.chat_template && chat_.is_published()) {
        // This file overrides all other places of a template.
        const std::string name = "llm/chat_template.jinja";
        std::erase_if(extra, [&](const models::ExtraFile& file) { return file.name == name; });
        extra.push_back({name, chat_.source()});
    }
    if (images_)
        extra.push_back({"vision_tower/preprocessor_config.json",
                         data::image_processor_config_text(images_->processor().config())});
    models::save_model(*model_, directory, model_->dtype(), extra, unchanged_);
}

uint64_t LanguageStage::frozen_hash() {
    uint64_t hash = 0;
    for (const nn::ParameterTable* table : model_->tables())
        hash = mix_bits(hash ^ hash_frozen(*table));
    return hash;
}

}  // namespace vila::tools
