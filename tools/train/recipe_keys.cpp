#include "tools/train/recipe_keys.h"

#include "data/image/image_processor.h"
#include "data/records/dataset.h"
#include "models/config.h"
#include "tensor/name_list.h"
#include "tools/train/recipe_limits.h"

namespace vila::tools {

namespace {

namespace fs = std::filesystem;

// The largest values that a recipe may have. They are far above any useful value, but keep sums and
// products (samples of a run, positions of a step, bytes of checkpoints) within 64 bits.
constexpr double kMostPositions = kMostMicroBatchPositions;
constexpr double kMostSamples = 1 << 24;  // of a step
constexpr double kMostSteps = kMostTotalSteps;
constexpr double kMostEpochs = 1e6;
constexpr double kMostCheckpoints = 1e6;
constexpr double kMostSeconds = 1e8;  // three years
constexpr double kMostGigabytes = 1e6;
constexpr double kMostWeight = 1e9;  // of a source
constexpr double kMostNorm = 1e9;

void model_fields(FieldList& list, ModelRecipe& model, const fs::path& base) {
    list.path("model.init", model.init, "model directory to start from", base);
    list.path("model.llm", model.llm, "language model directory; replaces that of model.init",
              base);
    list.path("model.vision_tower", model.vision_tower,
              "vision tower directory; replaces that of model.init", base);
    list.text("model.projector", model.projector,
              "projector directory (with a '/'), or the kind of a new one: " +
                  name_list(models::ProjectorConfig::kind_names()));
    list.path("model.tokenizer", model.tokenizer,
              "tokenizer directory for a new language model (default: a tokenizer is trained on "
              "the text of the data sources)",
              base);
    list.table("model.llm_config", model.llm_config,
               "configuration of a new language model: fields of a Hugging Face config.json");
    list.table("model.vision_config", model.vision_config,
               "configuration of a new vision tower: fields of a Hugging Face config.json");
    list.table("model.preprocessor_config", model.preprocessor_config,
               "image preprocessing of a new vision tower: fields of a Hugging Face "
               "preprocessor_config.json (default sizes: those of the tower)");
    list.table(
        "model.tokenizer_config", model.tokenizer_config,
        "tokenizer to train: vocab_size, and split (gpt2, llama3 or qwen2), the rule that splits "
        "text into words");
    list.integer(
        "model.select_layer", model.select_layer, {-1000, 1000},
        "hidden state of the vision tower that the projector reads; -2: the one before the last");
    list.choice(
        "model.select_feature", model.select_feature, {"patch", "cls_patch"},
        "which features the projector reads: patch, those of the patches; cls_patch, also that of "
        "the class token");
    list.choice("model.token_order", model.token_order, {"row", "column"},
                "order of image tokens after a projector that merges them, such as mlp_downsample");
}

// " (default: true if stage is pretrain or sft)": the stages that train a part by default.
std::string default_stages(bool models::Trainable::*part) {
    std::vector<std::string> names;
    for (const StageFacts& stage : all_stages())
        if (stage.trainable.*part) names.emplace_back(stage.name);
    return " (default: true if stage is " + name_list(names) + ")";
}

// "lm, a language model on text; clip, ...".
std::string stage_summaries() {
    std::string text;
    for (const StageFacts& stage : all_stages())
        text += str(text.empty() ? "" : "; ", stage.name, ", ", stage.summary);
    return text;
}

void trainable_fields(FieldList& list, TrainableRecipe& trainable) {
    list.boolean("trainable.llm", trainable.llm,
                 "train the language model" + default_stages(&models::Trainable::llm));
    list.boolean("trainable.projector", trainable.projector,
                 "train the projector" + default_stages(&models::Trainable::projector));
    list.boolean("trainable.vision_tower", trainable.vision_tower,
                 "train the vision tower" + default_stages(&models::Trainable::vision_tower));
}

void data_fields(FieldList& list, DataRecipe& data) {
    list.integer("data.max_length", data.max_length, {4, kMostPositions},
                 "longest sample, in text and image positions; longer ones are truncated");
    list.boolean(
        "data.pack", data.pack,
        "pack samples end to end into micro-batches of up to micro_batch * max_length positions");
    list.number("data.max_bad_share", data.max_bad_share, {0.0, 1.0},
                "stop as soon as more than this share of the records of all sources, or of 100 if "
                "there are fewer, are known to be unusable; each counts once")
        .may_change_on_resume = true;
    list.choice("data.image_mode", data.image_mode, data::image_mode_names(),
                "how an image is made square (default: as in the model, otherwise pad)");
    list.number("data.random_crop", data.random_crop, {0.05, 1.0},
                "crop images at random, keeping at least this share of each side; 1: no crops");
    list.text("data.template", data.chat_template,
              "chat template: a name, or a file with Jinja source (default: as in model.init, "
              "otherwise vicuna_v1; align: plain)");
}

void optimizer_fields(FieldList& list, OptimizerRecipe& optimizer, ScheduleRecipe& schedule) {
    list.number("optimizer.lr", optimizer.lr, {0.0, 10.0, true}, "learning rate after warmup");
    list.number("optimizer.projector_lr", optimizer.projector_lr, {0.0, 10.0, true},
                "learning rate of the projector (default: optimizer.lr)");
    list.number("optimizer.vision_tower_lr", optimizer.vision_tower_lr, {0.0, 10.0, true},
                "learning rate of the vision tower (default: optimizer.lr)");
    list.number("optimizer.weight_decay", optimizer.weight_decay, {0.0, 10.0},
                "AdamW weight decay of matrices");
    list.pair("optimizer.betas", optimizer.betas, {0.0, 0.9999999},
              "AdamW decay rates of the two moments");
    list.number("optimizer.eps", optimizer.eps, {0.0, 1.0, true}, "AdamW epsilon");
    list.number("optimizer.clip_norm", optimizer.clip_norm, {0.0, kMostNorm},
                "clip the global gradient norm to this; 0: no clipping");
    list.number("schedule.warmup_ratio", schedule.warmup_ratio, {0.0, 1.0},
                "share of the steps during which the learning rate rises linearly from 0");
    list.choice("schedule.decay", schedule.decay, {"cosine", "constant"},
                "learning rate after warmup: falls to 0 along a cosine, or stays constant");
}

void train_fields(FieldList& list, TrainRecipe& train) {
    list.number("train.epochs", train.epochs, {0.0, kMostEpochs, true},
                "passes over the data (default 1); give either this or train.steps");
    list.integer("train.steps", train.steps, {1, kMostSteps},
                 "optimizer steps; give either this or train.epochs");
    list.integer("train.global_batch", train.global_batch, {1, kMostSamples},
                 "samples per optimizer step, over all ranks and micro-batches");
    list.integer(
        "train.micro_batch", train.micro_batch, {1, kMostSamples},
        "samples per forward pass; with data.pack, at most micro_batch * max_length positions");
    list.choice("train.dtype", train.dtype, {"f32", "bf16"}, "dtype of weights and activations");
    list.boolean("train.activation_checkpointing", train.activation_checkpointing,
                 "recompute the activations of each block in the backward pass to save memory");
    list.integer("train.zero", train.zero, {0, 3},
                 "ZeRO stage, what is divided among the ranks: 0, nothing; 1, optimizer state; 2, "
                 "gradients too; 3, weights of blocks too; does not change the result")
        .may_change_on_resume = true;
    list.boolean("train.rank_invariant", train.rank_invariant,
                 "make micro-batches and weights byte-identical for any number of ranks, including "
                 "one");
    list.boolean(
            "train.overlap", train.overlap,
            "several ranks: sum gradients while the backward pass computes the next ones; does "
            "not change the result")
        .may_change_on_resume = true;
    list.integer("train.save_every", train.save_every, {1, kMostSteps},
                 "steps between two checkpoints")
        .may_change_on_resume = true;
    list.integer("train.keep", train.keep, {2, kMostCheckpoints}, "number of checkpoints to keep")
        .may_change_on_resume = true;
    list.boolean("train.async_save", train.async_save,
                 "write checkpoints while training continues, from a copy in memory (12 bytes per "
                 "trainable parameter)")
        .may_change_on_resume = true;
    list.number("train.setup_limit", train.setup_limit, {0.0, kMostSeconds},
                "end the job if a phase of the set-up or the first step takes longer, in seconds; "
                "0: no "
                "limit")
        .may_change_on_resume = true;
    list.number(
            "train.step_limit", train.step_limit, {0.0, kMostSeconds},
            "end the job if a step takes longer, in seconds; 0: 20 times the median step, at least "
            "60 (on one rank this limits only the wait for data)")
        .may_change_on_resume = true;
    list.number("train.save_limit", train.save_limit, {0.0, kMostSeconds},
                "end the job if a save takes longer, in seconds; 0: no limit")
        .may_change_on_resume = true;
    list.integer("train.seed", train.seed, {0, 9e15},
                 "seed of new weights and of the sample order");
    list.integer("train.max_bad_steps", train.max_bad_steps, {1, kMostSteps},
                 "stop after this many steps in a row whose loss or gradient is not finite")
        .may_change_on_resume = true;
    list.boolean("train.cache_features", train.cache_features,
                 "compute the features of a frozen vision tower once per image and keep them")
        .may_change_on_resume = true;
    list.number("train.feature_cache_gb", train.feature_cache_gb, {0.0, kMostGigabytes},
                "memory for the features of a frozen vision tower, in 1e9 bytes; the rest goes to "
                "RUN/cache on disk")
        .may_change_on_resume = true;
}

}  // namespace

FieldList recipe_keys(Recipe& recipe, const std::filesystem::path& base) {
    FieldList list;
    list.choice("stage", recipe.stage, stage_names(), "what to train: " + stage_summaries());
    model_fields(list, recipe.model, base);
    trainable_fields(list, recipe.trainable);
    data_fields(list, recipe.data);
    optimizer_fields(list, recipe.optimizer, recipe.schedule);
    train_fields(list, recipe.train);
    return list;
}

FieldList source_keys(SourceRecipe& source, const std::filesystem::path& base) {
    FieldList list;
    list.choice("format", source.format, data::dataset_format_names(),
                "what the file holds; `vila data stats --help` describes the formats");
    list.path("path", source.path, "the data file (jsonl, json, tar or text, depending on format)",
              base);
    list.path("images", source.images,
              "folder that image names are relative to (default: the folder of path)", base);
    list.number("weight", source.weight, {0.0, kMostWeight, true},
                "share of the samples, relative to the other sources");
    list.integer("max_images", source.max_images, {1, kMostPositions},
                 "mmc4: use at most this many images of a document, the first ones");
    list.choice("missing_image", source.missing_image, data::missing_image_names(),
                "what becomes of a record with an image file that is missing or empty: error, it "
                "cannot be used (data.max_bad_share); drop-image, it loses the image (mmc4 only); "
                "drop-document, it is left out");
    list.text("name", source.name,
              "name in logs (default: the file name of path without its extension)");
    return list;
}

}  // namespace vila::tools
