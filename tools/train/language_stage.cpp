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
using data::LoadedImage;

namespace {

// The loader returns an image of shape (0) instead of pixels if the features are in the cache.
LoadedImage image_in_cache() {
    return {.shape = {0}, .values = {}};
}
bool is_in_cache(const LoadedImage& image) {
    return image.shape == Shape{0};
}

}  // namespace

LanguageStage::LanguageStage(const Recipe& recipe, const fs::path& run,
                             const fs::path& tokenizer_directory, int64_t rank, Device& device,
                             const std::function<void(const std::string& line)>& warn)
    : recipe_(recipe),
      run_(run),
      tokenizer_directory_(tokenizer_directory),
      tokenizer_(data::load_tokenizer(tokenizer_directory)),
      chat_(recipe_template(recipe, tokenizer_directory)),
      model_(make_recipe_model(recipe, *tokenizer_, chat_, device)) {
    flops_.emplace(*model_, trainable_parts(recipe));
    if (!model_->has_vision()) return;
    processor_.emplace(
        make_image_processor(recipe, *model_->config().vision, model_->config().image_mode));
    const bool keeps_features = !*recipe.trainable.vision_tower && recipe.train.cache_features;
    VILA_CHECK(!keeps_features || recipe.data.random_crop == 1.0, "data.random_crop is ",
               recipe.data.random_crop,
               ": the features of a frozen tower are computed once per image; set "
               "train.cache_features = false or trainable.vision_tower = true");
    if (keeps_features) open_feature_cache(rank, warn);
}

void LanguageStage::open_feature_cache(int64_t rank,
                                       const std::function<void(const std::string& line)>& warn) {
    const models::VilaConfig& config = model_->config();
    const std::string facts =
        str(hash_frozen(model_->vision_table()), ' ', config.select_layer, ' ',
            config.select_class_token, ' ', config.image_mode, ' ', recipe_.train.dtype, ' ',
            preprocessor_file(processor_->config(), "", run_).bytes);
    cache_ = std::make_unique<FeatureCache>(FeatureCacheOptions{
        .values = config.features_per_image() * config.vision->hidden_size,
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

int64_t LanguageStage::image_tokens() const {
    return std::max<int64_t>(model_->config().tokens_per_image(), 1);
}

double LanguageStage::sample_cost(int64_t positions, int64_t images) const {
    // The features of a frozen tower are in the cache after the first epoch.
    return flops_->step({.lengths = {positions},
                         .targets = positions / 2,
                         .images = images,
                         .encoded_images = *recipe_.trainable.vision_tower ? images : 0});
}

data::ImageLoader LanguageStage::image_loader() {
    return [this](const data::ImageRef& image, uint64_t draw) {
        VILA_CHECK(processor_.has_value(), "the model of this run reads no images");
        if (cache_ && cache_->contains(image)) return image_in_cache();
        return load_pixels(image, *processor_, recipe_.data.random_crop, draw);
    };
}

StepResult LanguageStage::accumulate(const data::StepBatch& batch, const StepContext& step) {
    StepResult result;
    result.sources.resize(recipe_.data.sources.size());
    encoded_images_ = 0;
    StepWork work{.lengths = {}, .targets = batch.targets, .images = 0, .encoded_images = 0};
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
    work.encoded_images = encoded_images_;
    result.flops = flops_->step(work);
    return result;
}

models::Batch LanguageStage::prepare(const data::MicroBatch& micro, StepWork& work) {
    const std::vector<LoadedImage> images = load_images(micro);  // sequences point into it
    std::vector<models::Sequence> sequences;
    size_t next = 0;
    for (const data::LoadedSample& loaded : micro.samples) {
        models::Sequence sequence{
            .ids = loaded.sample.ids, .labels = loaded.sample.labels, .images = {}};
        for (size_t i = 0; i < loaded.images.size(); ++i, ++next)
            sequence.images.push_back({images[next].shape, images[next].values});
        sequences.push_back(std::move(sequence));
        work.lengths.push_back(data::spliced_length(loaded.sample, image_tokens()));
    }
    work.images += static_cast<int64_t>(images.size());
    return models::make_batch(model_->device(), sequences, image_tokens());
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

std::vector<LoadedImage> LanguageStage::load_images(const data::MicroBatch& micro) {
    std::vector<LoadedImage> images;
    const bool frozen = !*recipe_.trainable.vision_tower;
    for (const data::LoadedSample& loaded : micro.samples)
        for (size_t i = 0; i < loaded.images.size(); ++i)
            images.push_back(frozen ? features_of(loaded.sample.images[i], loaded.images[i])
                                    : loaded.images[i]);
    return images;
}

LoadedImage LanguageStage::features_of(const data::ImageRef& image, const LoadedImage& loaded) {
    LoadedImage features;
    features.shape = {model_->config().features_per_image(), model_->config().vision->hidden_size};
    features.values.resize(static_cast<size_t>(features.shape.numel()));
    if (cache_ && cache_->read(image, features.values)) return features;
    // If the cache had the image but its entry is damaged, the loader has not read the pixels.
    features = encode(is_in_cache(loaded) ? load_pixels(image, *processor_) : loaded);
    if (cache_) cache_->store(image, features.values);
    return features;
}

LoadedImage LanguageStage::encode(const LoadedImage& pixels) {
    const autograd::NoGrad no_grad(model_->device());
    const int64_t size = processor_->size();
    const Tensor features = model_
                                ->image_features(Tensor::from_values(
                                    model_->device(), {1, 3, size, size}, pixels.values))
                                .value();
    ++encoded_images_;
    return {features.shape(), features.to_vector<float>()};
}

void LanguageStage::save(const fs::path& directory) {
    std::vector<models::ExtraFile> extra = tokenizer_files(tokenizer_directory_, "llm/");
    if (recipe_.data.chat_template && chat_.is_published()) {
        // This file stands above the other places of a template.
        const std::string name = "llm/chat_template.jinja";
        std::erase_if(extra, [&](const models::ExtraFile& file) { return file.name == name; });
        extra.push_back({name, chat_.source()});
    }
    if (processor_) extra.push_back(preprocessor_file(processor_->config(), "vision_tower/", run_));
    models::save_model(*model_, directory, model_->dtype(), extra);
}

uint64_t LanguageStage::frozen_hash() {
    uint64_t hash = 0;
    for (const nn::ParameterTable* table : model_->tables())
        hash = mix_bits(hash ^ hash_frozen(*table));
    return hash;
}

}  // namespace vila::tools
