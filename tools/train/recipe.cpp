// The keys of a recipe, declared once, and the functions that use the list: read, check, print and
// compare.

#include "tools/train/recipe.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "data/image/image_processor.h"
#include "data/records/dataset.h"
#include "models/config.h"
#include "tensor/name_list.h"
#include "tools/train/recipe_fields.h"

namespace vila::tools {

namespace {

namespace fs = std::filesystem;

FieldList source_fields(SourceRecipe& source, const fs::path& base) {
    FieldList list;
    list.choice("format", source.format, data::dataset_format_names(),
                "what the file holds; `vila data stats --help` describes the formats");
    list.path("path", source.path, "the data file (jsonl, json, tar or text, depending on format)",
              base);
    list.path("images", source.images,
              "folder that image names are relative to (default: the folder of path)", base);
    list.number("weight", source.weight, {.min = 0.0, .above = true},
                "share of the samples, relative to the other sources");
    list.integer("max_images", source.max_images, {.min = 1},
                 "mmc4: keep the first this many images of a document");
    list.text("name", source.name, "name in logs (default: the stem of path)");
    return list;
}

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
               "a new language model: fields of its Hugging Face config.json");
    list.table("model.vision_config", model.vision_config,
               "a new vision tower: fields of its Hugging Face config.json");
    list.table("model.preprocessor_config", model.preprocessor_config,
               "image preprocessing of a new vision tower: fields of its Hugging Face "
               "preprocessor_config.json (default sizes: those of the tower)");
    list.table("model.tokenizer_config", model.tokenizer_config,
               "a tokenizer to train: vocab_size and split");
    list.integer(
        "model.select_layer", model.select_layer, {-1000, 1000},
        "hidden state of the vision tower that the projector reads (-2: the last but one)");
    list.choice("model.select_feature", model.select_feature, {"patch", "cls_patch"},
                "patch: without the class token; cls_patch: with it");
    list.choice("model.token_order", model.token_order, {"row", "column"},
                "order of image tokens after a projector that merges them, such as mlp_downsample");
}

// " (default: in stages pretrain and sft)": the stages that train a part by default.
std::string default_stages(bool models::Trainable::*part) {
    std::vector<std::string> names;
    for (const StageFacts& stage : all_stages())
        if (stage.trainable.*part) names.emplace_back(stage.name);
    std::string text = names.size() == 1 ? " (default: in stage " : " (default: in stages ";
    for (size_t i = 0; i < names.size(); ++i) text += (i > 0 ? ", " : "") + names[i];
    return text + ")";
}

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
    list.integer("data.max_length", data.max_length, {.min = 4},
                 "text and image positions of one sample; longer samples are truncated");
    list.boolean("data.pack", data.pack,
                 "pack samples into micro-batches of up to micro_batch * max_length positions");
    list.choice("data.image_mode", data.image_mode, data::image_mode_names(),
                "how an image is made square (default: as in the model, otherwise pad)");
    list.number("data.random_crop", data.random_crop, {0.05, 1.0},
                "random crops keep at least this share of each side of an image; 1: no crops");
    list.text("data.template", data.chat_template,
              "chat template (default: as in model.init, otherwise vicuna_v1; align: plain)");
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
    list.number("optimizer.clip_norm", optimizer.clip_norm, {.min = 0.0},
                "clip the global gradient norm to this; 0: no clipping");
    list.number("schedule.warmup_ratio", schedule.warmup_ratio, {0.0, 1.0},
                "share of the steps during which the learning rate rises from 0");
    list.choice("schedule.decay", schedule.decay, {"cosine", "constant"},
                "learning rate after warmup");
}

void train_fields(FieldList& list, TrainRecipe& train) {
    list.number("train.epochs", train.epochs, {.min = 0.0, .above = true},
                "passes over the data (default 1); alternatively train.steps");
    list.integer("train.steps", train.steps, {.min = 1},
                 "optimizer steps; alternatively train.epochs");
    list.integer("train.global_batch", train.global_batch, {.min = 1},
                 "samples per optimizer step, over all ranks and micro-batches");
    list.integer("train.micro_batch", train.micro_batch, {.min = 1},
                 "samples per forward pass; with data.pack, positions in units of max_length");
    list.choice("train.dtype", train.dtype, {"f32", "bf16"}, "dtype of weights and activations");
    list.boolean("train.activation_checkpointing", train.activation_checkpointing,
                 "recompute the activations of each block in the backward pass to save memory");
    list.integer("train.zero", train.zero, {0, 3}, "ZeRO stage over data-parallel ranks")
        .may_change_on_resume = true;
    list.boolean("train.rank_invariant", train.rank_invariant,
                 "make micro-batches and weights byte-identical for any number of ranks, including "
                 "one");
    list.boolean(
            "train.overlap", train.overlap,
            "several ranks: sum gradients while the backward pass computes the next ones; does "
            "not change the result")
        .may_change_on_resume = true;
    list.integer("train.save_every", train.save_every, {.min = 1}, "steps between two checkpoints")
        .may_change_on_resume = true;
    list.integer("train.keep", train.keep, {.min = 2}, "number of checkpoints to keep")
        .may_change_on_resume = true;
    list.boolean("train.async_save", train.async_save,
                 "write checkpoints while training continues, from a copy in memory (12 bytes per "
                 "trainable parameter)")
        .may_change_on_resume = true;
    list.number(
            "train.setup_limit", train.setup_limit, {.min = 0.0},
            "several ranks: end the job if set-up or the first step takes longer, in seconds; 0: "
            "no limit")
        .may_change_on_resume = true;
    list.number("train.step_limit", train.step_limit, {.min = 0.0},
                "several ranks: end the job if a step takes longer, in seconds; 0: 20 times the "
                "median step, at least 60")
        .may_change_on_resume = true;
    list.number("train.save_limit", train.save_limit, {.min = 0.0},
                "several ranks: end the job if a save takes longer, in seconds; 0: no limit")
        .may_change_on_resume = true;
    list.integer("train.seed", train.seed, {0, 9e15},
                 "seed of new weights and of the sample order");
    list.integer("train.max_bad_steps", train.max_bad_steps, {.min = 1},
                 "stop after this many steps in a row whose loss or gradient is not finite")
        .may_change_on_resume = true;
    list.boolean("train.cache_features", train.cache_features,
                 "compute the features of a frozen vision tower once per image and keep them")
        .may_change_on_resume = true;
    list.number("train.feature_cache_gb", train.feature_cache_gb, {.min = 0.0},
                "memory for the features of a frozen vision tower, in 1e9 bytes; the rest goes to "
                "RUN/cache on disk")
        .may_change_on_resume = true;
}

// All keys except those of data.sources.
FieldList recipe_fields(Recipe& recipe, const fs::path& base) {
    FieldList list;
    list.choice("stage", recipe.stage, stage_names(), "what to train: " + stage_summaries());
    model_fields(list, recipe.model, base);
    trainable_fields(list, recipe.trainable);
    data_fields(list, recipe.data);
    optimizer_fields(list, recipe.optimizer, recipe.schedule);
    train_fields(list, recipe.train);
    return list;
}

void read_sources(const TomlDocument& document, const fs::path& base,
                  std::vector<SourceRecipe>& sources) {
    const auto data = document.root.find("data");
    if (data == document.root.end() || !data->contains("sources")) return;
    const Json& tables = (*data)["sources"];
    VILA_CHECK(tables.is_array(), document.place("data.sources"),
               ": data.sources: expected tables [[data.sources]]");
    std::set<std::string> names;
    for (size_t i = 0; i < tables.size(); ++i) {
        const std::string path = str("data.sources[", i, "]");
        VILA_CHECK(tables[i].is_object(), document.place(path), ": ", path, ": expected a table");
        SourceRecipe source;
        source_fields(source, base).read(document, tables[i], path, "", {});
        for (const char* key : {"format", "path"})
            VILA_CHECK(tables[i].contains(key), document.place(path), ": ", path, ".", key,
                       " is missing");
        if (source.name.empty()) source.name = fs::path(source.path).stem().string();
        // Sources with the same name get a number.
        const std::string stem = source.name;
        for (int copy = 2; !names.insert(source.name).second; ++copy)
            source.name = str(stem, "-", copy);
        sources.push_back(std::move(source));
    }
}

void apply_defaults(Recipe& recipe, const fs::path& base) {
    const models::Trainable& defaults = stage_facts(*recipe.stage).trainable;
    TrainableRecipe& trainable = recipe.trainable;
    if (!trainable.llm) trainable.llm = defaults.llm;
    if (!trainable.projector) trainable.projector = defaults.projector;
    if (!trainable.vision_tower) trainable.vision_tower = defaults.vision_tower;
    if (!recipe.train.steps && !recipe.train.epochs) recipe.train.epochs = 1.0;
    std::string& projector = recipe.model.projector;
    if (projector.find('/') != std::string::npos)
        projector = (base / projector).lexically_normal().string();
}

void check_recipe(const TomlDocument& document, const Recipe& recipe) {
    VILA_CHECK(recipe.stage.has_value(), document.file, ": stage is missing; give ",
               FieldList::one_of(stage_names()));
    VILA_CHECK(!(recipe.train.steps && recipe.train.epochs), document.place("train.steps"),
               ": train.steps and train.epochs are both given; keep one");
    VILA_CHECK(!recipe.data.sources.empty(), document.file,
               ": no data; add a [[data.sources]] table with format and path");
}

// All keys with their values, including those of the sources, in the order of declaration.
struct KeyValue {
    std::string key;
    Json value;
    bool may_change_on_resume;
};
std::vector<KeyValue> key_values(Recipe recipe) {
    std::vector<KeyValue> values;
    const auto append = [&](const std::string& prefix, const FieldList& list) {
        for (const RecipeField& field : list.fields())
            values.push_back({prefix + field.key, field.value(), field.may_change_on_resume});
    };
    append("", recipe_fields(recipe, {}));
    for (size_t i = 0; i < recipe.data.sources.size(); ++i)
        append(str("data.sources[", i, "]."), source_fields(recipe.data.sources[i], {}));
    return values;
}

std::string shown(const Json& value) {
    return value.is_null() ? "not set" : toml_text(value);
}

}  // namespace

models::Trainable trainable_parts(const Recipe& recipe) {
    return {.llm = *recipe.trainable.llm,
            .projector = *recipe.trainable.projector,
            .vision_tower = *recipe.trainable.vision_tower};
}

Recipe load_recipe(const std::string& file, const std::vector<std::string>& overrides) {
    TomlDocument document = read_toml(file);
    const auto default_value = [](const std::string& path) {
        Recipe defaults;
        const FieldList list = recipe_fields(defaults, {});
        const RecipeField* field = list.find(path);
        return field == nullptr ? Json() : field->value();
    };
    for (const std::string& assignment : overrides) {
        const std::string key = apply_override(document, assignment, default_value);
        // Either of the two on the command line replaces the other one in the file.
        if (key == "train.steps") document.root["train"].erase("epochs");
        if (key == "train.epochs") document.root["train"].erase("steps");
    }
    const fs::path base = fs::absolute(file).parent_path();
    Recipe recipe;
    recipe_fields(recipe, base).read(document, document.root, "", "", {"data.sources"});
    read_sources(document, base, recipe.data.sources);
    check_recipe(document, recipe);
    apply_defaults(recipe, base);
    return recipe;
}

std::string recipe_text(const Recipe& recipe) {
    std::string text, section;
    for (const KeyValue& entry : key_values(recipe)) {
        if (entry.value.is_null()) continue;
        const size_t dot = entry.key.find_last_of('.');
        const std::string table = dot == std::string::npos ? "" : entry.key.substr(0, dot);
        if (table != section) {
            const bool source = table.starts_with("data.sources[");
            text += source ? "\n[[data.sources]]\n" : "\n[" + table + "]\n";
            section = table;
        }
        text += entry.key.substr(dot + 1) + " = " + toml_text(entry.value) + "\n";
    }
    return text;
}

std::string recipe_help() {
    Recipe recipe;
    std::string text = "Recipe keys (TOML; key, type, [default], meaning):\n";
    const auto describe = [&](const std::string& prefix, const FieldList& list) {
        for (const RecipeField& field : list.fields()) {
            const Json value = field.value();
            const bool set = !value.is_null() && value != Json("");
            text += str("  ", prefix, field.key, "  ", field.type,
                        set ? "  [" + toml_text(value) + "]" : "", "\n      ", field.help, "\n");
        }
    };
    describe("", recipe_fields(recipe, {}));
    SourceRecipe source;
    describe("data.sources[].", source_fields(source, {}));
    return text;
}

std::vector<std::string> recipe_differences(const Recipe& before, const Recipe& now) {
    std::vector<std::string> differences;
    const std::vector<KeyValue> old_values = key_values(before);
    const std::vector<KeyValue> new_values = key_values(now);
    const auto find = [](const std::vector<KeyValue>& values, const std::string& key) {
        const auto found = std::find_if(values.begin(), values.end(),
                                        [&](const KeyValue& entry) { return entry.key == key; });
        return found == values.end() ? Json() : found->value;
    };
    for (const KeyValue& entry : new_values) {
        const Json old_value = find(old_values, entry.key);
        if (entry.may_change_on_resume || old_value == entry.value) continue;
        differences.push_back(
            str(entry.key, " was ", shown(old_value), " and is ", shown(entry.value)));
    }
    for (const KeyValue& entry : old_values)
        if (std::none_of(new_values.begin(), new_values.end(),
                         [&](const KeyValue& other) { return other.key == entry.key; }))
            differences.push_back(str(entry.key, " was ", shown(entry.value), " and is not set"));
    return differences;
}

}  // namespace vila::tools
