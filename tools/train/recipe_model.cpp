#include "tools/train/recipe_model.h"
#include "tools/base/model_template.h"

#include <algorithm>

#include "tensor/file.h"
#include "tensor/name_list.h"
#include "tensor/path_kind.h"

namespace vila::tools {

namespace fs = std::filesystem;
using models::LlamaConfig;
using models::ModelDirectory;
using models::Part;
using models::ProjectorConfig;
using models::VilaConfig;
using models::VisionConfig;

namespace {

constexpr std::array<double, 3> kHalf = {0.5, 0.5, 0.5};

// The start of a message about the recipe: "FILE: ".
std::string in_recipe(const ModelRecipe& recipe) {
    return recipe.file.empty() ? "" : recipe.file + ": ";
}

// Fills in the fields of [model.llm_config] that follow from the recipe and the tokenizer.
LlamaConfig new_llm_config(const Recipe& recipe, const data::Tokenizer* tokenizer) {
    const std::string where = in_recipe(recipe.model) + "[model.llm_config]";
    Json json = recipe.model.llm_config;
    const auto supply = [&](const char* field, const Json& value) {
        if (!json.contains(field)) json[field] = value;
    };
    if (!json.contains("model_type")) supply("architectures", Json::array({"LlamaForCausalLM"}));
    supply("max_position_embeddings", recipe.data.max_length);
    if (tokenizer == nullptr) {
        const Json& to_train = recipe.model.tokenizer_config;
        if (to_train.contains("vocab_size")) supply("vocab_size", to_train.at("vocab_size"));
        return LlamaConfig::from_json(json, where);
    }
    supply("vocab_size", tokenizer->vocab_size());
    if (tokenizer->bos_id()) supply("bos_token_id", *tokenizer->bos_id());
    if (tokenizer->eos_id()) supply("eos_token_id", *tokenizer->eos_id());
    if (tokenizer->pad_id()) supply("pad_token_id", *tokenizer->pad_id());
    return LlamaConfig::from_json(json, where);
}

data::ImageProcessorConfig family_preprocessing(const VisionConfig& vision) {
    const data::ImageProcessorConfig clip;
    const bool siglip = vision.kind == VisionConfig::Kind::Siglip;
    return data::ImageProcessorConfig::for_tower(vision.image_size, siglip ? kHalf : clip.mean,
                                                 siglip ? kHalf : clip.deviation, siglip);
}

// [model.preprocessor_config]; missing sizes are those of the tower.
data::ImageProcessorConfig new_preprocessing(const ModelRecipe& recipe,
                                             const VisionConfig& vision) {
    Json json = recipe.preprocessor_config;
    const bool siglip = vision.kind == VisionConfig::Kind::Siglip;
    const Json square = {{"height", vision.image_size}, {"width", vision.image_size}};
    const auto supply = [&](const char* field, const Json& value) {
        if (!json.contains(field)) json[field] = value;
    };
    supply("image_processor_type", siglip ? "SiglipImageProcessor" : "CLIPImageProcessor");
    supply("size", siglip ? square : Json{{"shortest_edge", vision.image_size}});
    if (!siglip) supply("crop_size", square);
    return data::parse_image_processor_config(json.dump(),
                                              in_recipe(recipe) + "[model.preprocessor_config]");
}

ProjectorConfig recipe_projector_config(const ModelRecipe& recipe) {
    if (is_projector_directory(recipe.projector))
        return ModelDirectory(recipe.projector).projector_config();
    ProjectorConfig config;
    try {
        config.kind = ProjectorConfig::kind_from_name(recipe.projector);
    } catch (const Error& error) {
        throw Error(str(in_recipe(recipe), "model.projector: ", error.what(),
                        ", or a directory with a '/'"));
    }
    return config;
}

void check_parts(const Recipe& recipe) {
    const ModelRecipe& model = recipe.model;
    const bool has_init = !model.init.empty();
    VILA_CHECK(model.llm.empty() || model.llm_config.empty(), in_recipe(model),
               "model.llm and [model.llm_config] are both given; keep one");
    VILA_CHECK(model.vision_tower.empty() || model.vision_config.empty(), in_recipe(model),
               "model.vision_tower and [model.vision_config] are both given; keep one");
    VILA_CHECK(has_init || !model.llm.empty() || !model.llm_config.empty(), in_recipe(model),
               "stage ", stage_facts(*recipe.stage).name,
               " needs a language model: give model.init, model.llm or [model.llm_config]");
}

// Throws if a key is given that only a model with a vision tower uses.
void refuse_image_keys(const Recipe& recipe) {
    const ModelRecipe& model = recipe.model;
    const std::pair<const char*, bool> keys[] = {
        {"model.projector", !model.projector.empty()},
        {"[model.preprocessor_config]", !model.preprocessor_config.empty()},
        {"model.select_layer", model.select_layer.has_value()},
        {"model.select_feature", model.select_feature.has_value()},
        {"model.token_order", model.token_order.has_value()},
        {"data.image_mode", recipe.data.image_mode.has_value()}};
    for (const auto& [key, is_given] : keys)
        VILA_CHECK(!is_given, in_recipe(model), key,
                   " has no effect: the model has no vision tower; remove it");
}

VilaConfig joined_config(const Recipe& recipe, const data::Tokenizer* tokenizer) {
    const ModelRecipe& model = recipe.model;
    VilaConfig config;
    if (!model.init.empty()) config = ModelDirectory(model.init).config();
    if (!model.llm.empty()) config.llm = ModelDirectory(model.llm).llm_config();
    if (!model.llm_config.empty()) config.llm = new_llm_config(recipe, tokenizer);
    const bool other_tower = !model.vision_tower.empty() || !model.vision_config.empty();
    if (other_tower) config.vision = recipe_vision_config(model);
    const StageFacts& stage = stage_facts(*recipe.stage);
    if (stage.takes_images)
        VILA_CHECK(config.vision.has_value(), in_recipe(model), "stage ", stage.name,
                   " needs a vision tower: give model.init, model.vision_tower or "
                   "[model.vision_config]");
    if (!config.vision) {
        refuse_image_keys(recipe);
        return config;
    }
    const bool had_projector = config.projector.hidden_size > 0;
    if (!model.projector.empty()) config.projector = recipe_projector_config(model);
    VILA_CHECK(!model.projector.empty() || had_projector, in_recipe(model),
               "the model has no projector: give model.projector, a directory or ",
               name_list(ProjectorConfig::kind_names()));
    if (model.token_order)
        config.projector.token_order = ProjectorConfig::order_from_name(*model.token_order);
    if (model.select_layer) config.select_layer = *model.select_layer;
    if (model.select_feature)
        config.select_class_token =
            *model.select_feature == "cls_patch" && config.vision->has_class_token();
    if (recipe.data.image_mode) config.image_mode = *recipe.data.image_mode;
    return config;
}

// The directories of the parts that the recipe loads; a part without one is new.
std::map<Part, std::string> part_directories(const ModelRecipe& recipe, bool has_vision) {
    std::map<Part, std::string> directories;
    if (recipe.llm_config.empty())
        directories[Part::Llm] = recipe.llm.empty() ? recipe.init : recipe.llm;
    if (!has_vision) return directories;
    if (recipe.vision_config.empty())
        directories[Part::VisionTower] =
            recipe.vision_tower.empty() ? recipe.init : recipe.vision_tower;
    if (recipe.projector.empty())
        directories[Part::Projector] = recipe.init;
    else if (is_projector_directory(recipe.projector))
        directories[Part::Projector] = recipe.projector;
    return directories;
}

// Loads each part from the most specific directory of the recipe, or initializes it.
void load_or_initialize(const ModelRecipe& recipe, uint64_t seed, models::VilaModel& model) {
    const auto directories = part_directories(recipe, model.has_vision());
    // Returns whether the recipe names a directory for the part, whose weights are then loaded.
    const auto load = [&](Part part, nn::ParameterTable& table) {
        const auto directory = directories.find(part);
        if (directory == directories.end()) return false;
        ModelDirectory(directory->second).load_part(part, table, model.device(), model.dtype());
        return true;
    };
    if (!load(Part::Llm, model.llm_table())) model.initialize_llm(seed);
    if (!model.has_vision()) return;
    if (!load(Part::VisionTower, model.vision_table())) model.initialize_vision_tower(seed);
    if (!load(Part::Projector, model.projector_table())) model.initialize_projector(seed);
}

}  // namespace

bool is_projector_directory(const std::string& projector) {
    return projector.find('/') != std::string::npos;
}

std::optional<fs::path> tokenizer_directory(const ModelRecipe& recipe) {
    if (!recipe.tokenizer.empty()) return ModelDirectory(recipe.tokenizer).files_of(Part::Llm);
    if (!recipe.llm_config.empty() || !recipe.tokenizer_config.empty()) return std::nullopt;
    for (const std::string& model : {recipe.llm, recipe.init}) {
        if (model.empty()) continue;
        const fs::path directory = ModelDirectory(model).files_of(Part::Llm);
        // The directory of a vision tower has no tokenizer.
        if (!tokenizer_files(directory, "").empty()) return directory;
    }
    return std::nullopt;
}

VilaConfig recipe_model_config(const Recipe& recipe) {
    check_parts(recipe);
    const std::optional<fs::path> directory = tokenizer_directory(recipe.model);
    const auto tokenizer = directory ? data::load_tokenizer(*directory) : nullptr;
    VilaConfig config = joined_config(recipe, tokenizer.get());
    config.check_and_complete();
    return config;
}

std::optional<data::ChatTemplate> given_template(const Recipe& recipe, const fs::path& tokenizer) {
    if (!recipe.data.chat_template) return std::nullopt;
    const std::string& name = *recipe.data.chat_template;
    if (is_template_name(name)) return data::ChatTemplate::named(name);
    VILA_CHECK(file_exists(name), in_recipe(recipe.model), "data.template: no chat template \"",
               name, "\": expected ", name_list(data::ChatTemplate::names()),
               ", or a file with Jinja source");
    const std::string& init = recipe.model.init;
    return read_template(name, tokenizer,
                         init.empty() ? std::nullopt : image_token_id(ModelDirectory(init)));
}

data::ChatTemplate recipe_template(const Recipe& recipe, const fs::path& tokenizer) {
    if (const auto given = given_template(recipe, tokenizer)) return *given;
    const StageFacts& stage = stage_facts(*recipe.stage);
    // In stage clip model.init may be a vision tower alone.
    if (!recipe.model.init.empty() && stage.loss == StageLoss::NextToken) {
        const ModelDirectory init(recipe.model.init);
        if (const auto chat = model_template(init, init.config()); !chat.is_none()) return chat;
    }
    return data::ChatTemplate::named(stage.chat_template);
}

VisionConfig recipe_vision_config(const ModelRecipe& recipe) {
    if (!recipe.vision_tower.empty()) return ModelDirectory(recipe.vision_tower).vision_config();
    if (recipe.vision_config.empty()) {
        VILA_CHECK(!recipe.init.empty(), in_recipe(recipe),
                   "stage clip needs a vision tower: give "
                   "[model.vision_config], model.vision_tower or model.init");
        return ModelDirectory(recipe.init).vision_config();
    }
    Json json = recipe.vision_config;
    if (!json.contains("model_type") && !json.contains("architectures"))
        json["architectures"] = Json::array({"CLIPVisionModel"});
    return VisionConfig::from_json(json, in_recipe(recipe) + "[model.vision_config]");
}

data::ImageProcessor make_image_processor(const Recipe& recipe, const VisionConfig& vision,
                                          const std::string& image_mode) {
    const ModelRecipe& model = recipe.model;
    data::ImageProcessorConfig config = family_preprocessing(vision);
    if (!model.preprocessor_config.empty()) {
        config = new_preprocessing(model, vision);
    } else if (model.vision_config.empty()) {
        const fs::path tower =
            ModelDirectory(model.vision_tower.empty() ? model.init : model.vision_tower)
                .files_of(Part::VisionTower);
        if (data::has_image_processor_config(tower))
            config = data::read_image_processor_config(tower);
    }
    data::ImageProcessor processor(config, data::image_mode_from_name(image_mode));
    VILA_CHECK_EQ(processor.size(), vision.image_size,
                  "image preprocessing does not produce the image size of the vision tower");
    return processor;
}

std::unique_ptr<models::VilaModel> make_recipe_model(const Recipe& recipe,
                                                     const data::Tokenizer& tokenizer,
                                                     const data::ChatTemplate& chat,
                                                     Device& device) {
    check_parts(recipe);
    VilaConfig config = joined_config(recipe, &tokenizer);
    // A published template is in the files of the tokenizer.
    config.chat_template = chat.is_published() ? "" : chat.name();
    VILA_CHECK(config.llm.vocab_size >= tokenizer.vocab_size(), "the language model has ",
               config.llm.vocab_size, " token embeddings, but the tokenizer has ",
               tokenizer.vocab_size(), " tokens");
    VILA_CHECK(config.llm.max_position_embeddings >= recipe.data.max_length,
               in_recipe(recipe.model), "data.max_length is ", recipe.data.max_length,
               ": the language model has ", config.llm.max_position_embeddings, " positions");
    auto model =
        std::make_unique<models::VilaModel>(config, device, dtype_from_name(recipe.train.dtype));
    load_or_initialize(recipe.model, static_cast<uint64_t>(recipe.train.seed), *model);
    model->set_activation_checkpointing(recipe.train.activation_checkpointing);
    model->set_trainable(trainable_parts(recipe));
    VILA_CHECK(
        !model->trainable_parameters().empty(), in_recipe(recipe.model),
        "nothing to train: set trainable.llm, trainable.projector or trainable.vision_tower");
    return model;
}

models::PartFiles open_unchanged_parts(const Recipe& recipe, const models::VilaModel& model) {
    models::PartFiles files;
    for (const auto& [part, directory] : part_directories(recipe.model, model.has_vision())) {
        const nn::ParameterTable& table = part == Part::Llm           ? model.llm_table()
                                          : part == Part::VisionTower ? model.vision_table()
                                                                      : model.projector_table();
        if (!table.any_trainable())
            files[part] = models::open_part(*models::open_layout(directory), part, table);
    }
    return files;
}

std::vector<models::ExtraFile> tokenizer_files(const fs::path& directory,
                                               const std::string& prefix) {
    std::vector<models::ExtraFile> files;
    for (const std::string& name : data::tokenizer_files())
        if (path_exists(directory / name))
            files.push_back({prefix + name, read_file(directory / name)});
    return files;
}

}  // namespace vila::tools
