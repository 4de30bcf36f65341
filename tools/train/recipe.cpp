// Reads, checks, prints and compares recipes with the list of keys in recipe_keys.h.

#include "tools/train/recipe.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "tensor/name_list.h"
#include "tensor/path_kind.h"
#include "tools/base/model_template.h"
#include "tools/train/recipe_keys.h"
#include "tools/train/recipe_limits.h"

namespace vila::tools {

namespace {

namespace fs = std::filesystem;

// Throws if a key has no effect on a source of its format.
void check_source_keys(const TomlDocument& document, const std::string& path,
                       const SourceRecipe& source) {
    if (!source.format.starts_with("text")) return;
    const SourceRecipe defaults;
    const auto check = [&](const char* key, bool is_default) {
        VILA_CHECK(is_default, document.place(str(path, ".", key)), ": ", path, ".", key,
                   " has no effect on format ", source.format, ", which has no images; remove it");
    };
    check("images", source.images.empty());
    check("max_images", source.max_images == defaults.max_images);
    check("missing_image", source.missing_image == defaults.missing_image);
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
        source_keys(source, base).read(document, tables[i], path, "", {});
        for (const char* key : {"format", "path"})
            VILA_CHECK(tables[i].contains(key), document.place(path), ": ", path, ".", key,
                       " is missing");
        VILA_CHECK(!source.path.empty(), document.place(path + ".path"), ": ", path,
                   ".path is empty: expected a data file");
        check_source_keys(document, path, source);
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
    if (std::optional<std::string>& chat = recipe.data.chat_template; chat) {
        const fs::path file = (base / *chat).lexically_normal();
        if (!is_template_name(*chat) && path_exists(file)) *chat = file.string();
    }
    std::string& projector = recipe.model.projector;
    if (projector.find('/') != std::string::npos)
        projector = (base / projector).lexically_normal().string();
}

void check_recipe(const TomlDocument& document, const Recipe& recipe) {
    VILA_CHECK(recipe.stage.has_value(), document.file,
               ": stage is missing: ", name_list(stage_names()));
    VILA_CHECK(!(recipe.train.steps && recipe.train.epochs), document.place("train.steps"),
               ": train.steps and train.epochs are both given; keep one");
    const int64_t positions = recipe.train.micro_batch * recipe.data.max_length;
    VILA_CHECK(positions <= kMostMicroBatchPositions, document.place("train.micro_batch"),
               ": train.micro_batch ", recipe.train.micro_batch, " of data.max_length ",
               recipe.data.max_length, " are ", positions, " positions: at most ",
               kMostMicroBatchPositions, " run together; lower one of the two");
    VILA_CHECK(recipe.model.tokenizer.empty() || recipe.model.tokenizer_config.empty(),
               document.place("model.tokenizer"),
               ": model.tokenizer and [model.tokenizer_config] are both given; keep one");
    VILA_CHECK(*recipe.stage != StageKind::LanguageModel || recipe.train.cache_features,
               document.place("train.cache_features"),
               ": train.cache_features has no effect in stage lm; remove it");
    VILA_CHECK(!recipe.data.sources.empty(), document.file,
               ": no data; add a [[data.sources]] table with format and path");
}

struct KeyValue {
    std::string key;
    Json value;
    bool may_change_on_resume;
};
// Returns all keys with their values, including those of the sources, in the order of declaration.
std::vector<KeyValue> key_values(Recipe recipe) {
    std::vector<KeyValue> values;
    const auto append = [&](const std::string& prefix, const FieldList& list) {
        for (const RecipeField& field : list.fields())
            values.push_back({prefix + field.key, field.value(), field.may_change_on_resume});
    };
    append("", recipe_keys(recipe, {}));
    for (size_t i = 0; i < recipe.data.sources.size(); ++i)
        append(str("data.sources[", i, "]."), source_keys(recipe.data.sources[i], {}));
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
        const FieldList list = recipe_keys(defaults, {});
        const RecipeField* field = list.find(path);
        return field == nullptr ? Json() : field->value();
    };
    for (const std::string& assignment : overrides) {
        const std::string key = apply_override(document, assignment, default_value);
        // train.steps and train.epochs exclude each other: an override of one removes the other.
        if (key == "train.steps") document.root["train"].erase("epochs");
        if (key == "train.epochs") document.root["train"].erase("steps");
    }
    const fs::path base = fs::absolute(file).parent_path();
    Recipe recipe;
    recipe.model.file = file;
    recipe_keys(recipe, base).read(document, document.root, "", "", {"data.sources"});
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
    describe("", recipe_keys(recipe, {}));
    SourceRecipe source;
    describe("data.sources[].", source_keys(source, {}));
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

Json lasting_values(const Recipe& recipe) {
    Json values = Json::object();
    for (const KeyValue& entry : key_values(recipe)) {
        const bool is_path =
            entry.value.is_string() && entry.value.get_ref<const std::string&>().starts_with('/');
        if (!entry.may_change_on_resume && !is_path) values[entry.key] = entry.value;
    }
    return values;
}

}  // namespace vila::tools
