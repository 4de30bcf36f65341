// Recipes: the values that are read, the errors of invalid ones, and reading back the copy in a run
// directory. Also the table of stages.

#include "tools/train/recipe.h"

#include <filesystem>
#include <fstream>
#include <set>

#include <gtest/gtest.h>

#include "data/image/image_processor.h"
#include "data/records/dataset.h"
#include "tensor/check.h"
#include "tests/support/text_helpers.h"
#include "tools/train/recipe_model.h"

namespace vila::tools {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSft = R"(stage = "sft"
[model]
init = "runs/pretrain/model"
[[data.sources]]
format = "llava"
path = "train.json"
images = "/data/images"
[[data.sources]]
format = "text"
path = "more/train.json"
weight = 3
[optimizer]
lr = 2e-5
[train]
epochs = 2
)";

constexpr const char* kSmallLlm = R"({"hidden_size": 32, "intermediate_size": 48,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2})";

class RecipeTest : public ::testing::Test {
  protected:
    void SetUp() override {
        folder_ =
            fs::temp_directory_path() /
            ("vila_recipe_" + std::to_string(::testing::UnitTest::GetInstance()->random_seed()) +
             ::testing::UnitTest::GetInstance()->current_test_info()->name());
        fs::create_directories(folder_);
    }
    void TearDown() override { fs::remove_all(folder_); }

    std::string write(const std::string& text, const std::string& name = "r.toml") const {
        const std::string file = (folder_ / name).string();
        std::ofstream(file) << text;
        return file;
    }
    std::string error(const std::string& text, const std::vector<std::string>& overrides = {}) {
        try {
            load_recipe(write(text), overrides);
        } catch (const Error& error) {
            const std::string message = error.what();
            const size_t start = message.find(folder_.string());
            return start == 0 ? message.substr(folder_.string().size() + 1) : message;
        }
        return "no error";
    }
    fs::path folder_;
};

TEST_F(RecipeTest, ReadsValuesDefaultsAndPaths) {
    const Recipe recipe = load_recipe(write(kSft), {});
    EXPECT_EQ(recipe.stage, StageKind::Sft);
    EXPECT_EQ(recipe.model.init, (folder_ / "runs/pretrain/model").string());
    ASSERT_EQ(recipe.data.sources.size(), 2u);
    EXPECT_EQ(recipe.data.sources[0].images, "/data/images");
    EXPECT_EQ(recipe.data.sources[0].weight, 1.0);
    EXPECT_EQ(recipe.data.sources[1].weight, 3.0);
    EXPECT_EQ(recipe.data.sources[0].name, "train");
    EXPECT_EQ(recipe.data.sources[1].name, "train-2") << "names in the log must differ";
    EXPECT_EQ(recipe.optimizer.lr, 2e-5);
    EXPECT_EQ(recipe.optimizer.betas[1], 0.999);
    EXPECT_EQ(recipe.train.epochs, 2.0);
    EXPECT_FALSE(recipe.train.steps.has_value());
    EXPECT_TRUE(*recipe.trainable.llm);
    EXPECT_TRUE(*recipe.trainable.projector);
    EXPECT_FALSE(*recipe.trainable.vision_tower);
}

TEST_F(RecipeTest, OverridesAreTyped) {
    const Recipe recipe = load_recipe(
        write(kSft),
        {"optimizer.lr=1e-3", "optimizer.betas[1]=0.95", "data.sources[0].weight=2",
         "data.sources.1.path=other.txt", "train.steps=7", "data.pack=false", "data.template=plain",
         "data.sources[0].name=2024", "stage=\"pretrain\"", "model.llm_config.hidden_size=64",
         "model.llm_config.rope_scaling.type=linear"});
    EXPECT_EQ(recipe.optimizer.lr, 1e-3);
    EXPECT_EQ(recipe.optimizer.betas, (std::array<double, 2>{0.9, 0.95}));
    EXPECT_EQ(recipe.data.sources[0].weight, 2.0);
    EXPECT_EQ(recipe.data.sources[1].path, (folder_ / "other.txt").string());
    EXPECT_EQ(recipe.train.steps, 7);
    EXPECT_FALSE(recipe.train.epochs.has_value()) << "an override of steps replaces epochs";
    EXPECT_FALSE(recipe.data.pack);
    EXPECT_EQ(recipe.data.chat_template, "plain");
    EXPECT_EQ(recipe.data.sources[0].name, "2024");
    EXPECT_EQ(recipe.stage, StageKind::Pretrain);
    EXPECT_EQ(recipe.model.llm_config["hidden_size"], 64);
    EXPECT_EQ(recipe.model.llm_config["rope_scaling"]["type"], "linear");
}

TEST_F(RecipeTest, TemplatesAreNamesOrFilesBesideTheRecipe) {
    std::ofstream(folder_ / "own.jinja") << "{{ messages[0].content }}";
    std::ofstream(folder_ / "plain") << "{{ messages[0].content }}";
    const auto chat = [&](const std::string& value) {
        return load_recipe(write(kSft), {"data.template=" + value}).data.chat_template;
    };
    EXPECT_EQ(chat("own.jinja"), (folder_ / "own.jinja").string());
    EXPECT_EQ(chat("plain"), "plain") << "names stand above files";
    EXPECT_EQ(chat("absent.jinja"), "absent.jinja");
    Recipe recipe = load_recipe(write(kSft), {"data.template=own.jinja"});
    recipe.model.init.clear();  // no such model
    EXPECT_EQ(recipe_template(recipe, "").source(), "{{ messages[0].content }}");
    EXPECT_TRUE(
        data::message_of(
            [&] { recipe_template(load_recipe(write(kSft), {"data.template=absent.jinja"}), ""); })
            .starts_with(write(kSft) +
                         ": data.template: no chat template \"absent.jinja\": expected plain, "));
}

TEST_F(RecipeTest, BoundsTheDepthOfKeys) {
    std::string deep = "a";
    for (int i = 1; i < 20000; ++i) deep += i % 2 ? ".'a'" : " . \"b\"";
    const std::string refusal = ": a key of more than 32 names joined by dots";
    for (const std::string& text : {"[" + deep + "]\n", "[[" + deep + "]]\n", deep + " = 1\n",
                                    "a = {" + deep + " = 1}\n", "[a]\nb = 1.5\n" + deep + "\n"})
        EXPECT_NE(error(text).find(refusal), std::string::npos) << error(text);
    const std::string before = "a = \"1\\\"\" # \"\nb = '''\n'''\nc = 'd\\'\n\n";
    EXPECT_EQ(error(before + deep + " = 1\n"), "r.toml:6" + refusal);
    EXPECT_THROW(load_recipe(write(kSft), {deep + "=1"}), UsageError);
    EXPECT_NE(error(kSft, {"optimizer={" + deep + " = 1}"}).find("optimizer"), std::string::npos);
    std::string nested = "1";
    for (int i = 0; i < 200; ++i) nested = "{ a.b.c.d.e.f = " + nested + " }";
    EXPECT_NE(error("a = " + nested + "\n").find("nested"), std::string::npos);
    const std::string dots = "name = '" + std::string(99, '.') + "' # " + std::string(99, '.');
    EXPECT_EQ(error("[optimizer_]\n" + dots),
              "r.toml:1: unknown key 'optimizer_'; did you mean 'optimizer'?");
}

TEST_F(RecipeTest, RefusesKeysWithoutEffect) {
    for (const char* given : {"images=x", "max_images=2", "missing_image=drop-document"}) {
        const std::string override = str("data.sources[1].", given);
        EXPECT_NE(error(kSft, {override}).find(" has no effect on format text"), std::string::npos);
    }
    EXPECT_NE(error(kSft, {"model.tokenizer=x", "model.tokenizer_config.vocab_size=300"})
                  .find("model.tokenizer and [model.tokenizer_config] are both given"),
              std::string::npos);
    EXPECT_NE(error(kSft, {"stage=lm", "train.cache_features=false"})
                  .find("train.cache_features has no effect in stage lm"),
              std::string::npos);
    for (const char* given :
         {"model.projector=linear", "model.select_layer=-2", "data.image_mode=pad",
          "model.token_order=row", "model.select_feature=patch"}) {
        const std::string text =
            "stage = 'lm'\n[model.llm_config]\nhidden_size = 8\n"
            "[[data.sources]]\nformat = 'text'\npath = 'a'\n";
        Recipe recipe = load_recipe(write(text), {given, "model.llm_config.vocab_size=9"});
        recipe.model.llm_config.update(parse_json(kSmallLlm, ""));
        EXPECT_NE(data::message_of([&] {
                      recipe_model_config(recipe);
                  }).find("has no effect: the model has no vision tower"),
                  std::string::npos)
            << given << data::message_of([&] { recipe_model_config(recipe); });
    }
}

TEST_F(RecipeTest, AnOverrideInATableResumes) {
    const Recipe recipe = load_recipe(
        write(kSft),
        {"model.llm_config={b = 1, c = 2}", "model.llm_config.a.x=3", "model.llm_config.a.w=4"});
    const std::string copy = write(recipe_text(recipe), "copy.toml");
    EXPECT_EQ(recipe_differences(load_recipe(copy, {}), recipe), std::vector<std::string>());
}

TEST_F(RecipeTest, RefusesAnEmptyPath) {
    EXPECT_EQ(
        error(kSft, {"data.sources[0].path="}),
        "override data.sources[0].path=: data.sources[0].path is empty: expected a data file");
}

TEST_F(RecipeTest, ForgetsThePlacesOfWhatAnOverrideReplaces) {
    EXPECT_EQ(
        error(kSft, {"optimizer={lr = -1}"}),
        "override optimizer={lr = -1}: optimizer.lr: expected a number above 0 to 10, got -1");
    EXPECT_EQ(
        error(kSft, {"optimizer.lr=1", "optimizer={lr = -1}"}),
        "override optimizer={lr = -1}: optimizer.lr: expected a number above 0 to 10, got -1");
    EXPECT_EQ(error(std::string(kSft) + "[optimizer_]\n", {"optimizer={lr = 1}"}),
              "r.toml:16: unknown key 'optimizer_'; did you mean 'optimizer'?");
}

TEST_F(RecipeTest, RefusesWhatIsNoToml) {
    for (const char* text : {"[\n", "[(", "[[[", "[{\"id\": 1}]", "[,]", "a = [\n", "\"", "= 1"})
        EXPECT_TRUE(error(text).starts_with("r.toml:")) << text << ": " << error(text);
    EXPECT_EQ(error("[("), "r.toml: not valid TOML: expected a key or the name of a table");
}

TEST_F(RecipeTest, RefusesUnknownKeysWithPlaceAndNearestName) {
    EXPECT_EQ(error(std::string(kSft) + "[schedule]\nwarmup_ration = 0.1\n"),
              "r.toml:17: unknown key 'schedule.warmup_ration'; did you mean "
              "'schedule.warmup_ratio'?");
    EXPECT_EQ(error("lr = 1\n" + std::string(kSft)),
              "r.toml:1: unknown key 'lr'; did you mean 'optimizer.lr'?");
    EXPECT_EQ(error(std::string(kSft) + "[optimiser]\nlr = 1\n"),
              "r.toml:16: unknown key 'optimiser'; did you mean 'optimizer'?");
    EXPECT_EQ(error(kSft, {"data.sources[0].wieght=2"}),
              "override data.sources[0].wieght=2: unknown key 'data.sources[0].wieght'; did you "
              "mean 'weight'?");
}

// Numbers with which a run could not compute: sums and products of them would not fit 64 bits.
TEST_F(RecipeTest, RefusesNumbersOutOfRange) {
    for (const char* key : {"data.max_length",
                            "train.global_batch",
                            "train.micro_batch",
                            "train.steps",
                            "train.save_every",
                            "train.keep",
                            "train.max_bad_steps",
                            "train.seed",
                            "train.epochs",
                            "train.feature_cache_gb",
                            "train.setup_limit",
                            "train.step_limit",
                            "train.save_limit",
                            "optimizer.lr",
                            "optimizer.clip_norm",
                            "optimizer.weight_decay",
                            "optimizer.eps",
                            "schedule.warmup_ratio",
                            "data.max_bad_share",
                            "data.sources[0].weight",
                            "data.sources[0].max_images"})
        for (const char* value : {"inf", "-inf", "nan", "1e300", "4e18", "4000000000000000000",
                                  "9223372036854775807", "18446744073709551616", "-1"}) {
            const std::string message = error(kSft, {str(key, "=", value)});
            EXPECT_TRUE(
                message.starts_with(str("override ", key, "=", value, ": ", key, ": expected ")))
                << message;
        }
    EXPECT_EQ(
        error(kSft, {"train.epochs=1e300"}),
        "override train.epochs=1e300: train.epochs: expected a number above 0 to 1000000, got "
        "1e+300");
    EXPECT_EQ(error(kSft, {"train.micro_batch=100000", "data.max_length=1000"}),
              "override train.micro_batch=100000: train.micro_batch 100000 of data.max_length 1000 "
              "are 100000000 positions: at most 16777216 run together; lower one of the two");
}

TEST_F(RecipeTest, RefusesWrongValues) {
    EXPECT_EQ(error(kSft, {"optimizer.lr=fast"}),
              "override optimizer.lr=fast: optimizer.lr: expected a number above 0 to 10, got "
              "\"fast\"");
    EXPECT_EQ(error(kSft, {"optimizer.lr=0"}),
              "override optimizer.lr=0: optimizer.lr: expected a number above 0 to 10, got 0");
    EXPECT_EQ(error(kSft, {"optimizer.lr=nan"}),
              "override optimizer.lr=nan: optimizer.lr: expected a number above 0 to 10, got nan");
    EXPECT_EQ(error(std::string(kSft) + "steps = 2.5\n"),
              "r.toml:16: train.steps: expected an integer from 1 to 10000000000, got 2.5");
    EXPECT_EQ(error(std::string(kSft) + "keep = 1\n"),
              "r.toml:16: train.keep: expected an integer from 2 to 1000000, got 1");
    EXPECT_EQ(error("stage = \"sfft\"\n"),
              "r.toml:1: stage: expected \"lm\", \"clip\", \"align\", \"pretrain\" or \"sft\", got "
              "\"sfft\"");
    EXPECT_EQ(error(kSft, {"data.pack=1"}),
              "override data.pack=1: data.pack: expected true or false, got 1");
    EXPECT_EQ(error(kSft, {"optimizer.betas=[0.9]"}),
              "override optimizer.betas=[0.9]: optimizer.betas: expected two numbers from 0 to 1, "
              "got [0.9]");
    EXPECT_EQ(error(kSft, {"train=1"}), "override train=1: train: expected a table [train], got 1");
    EXPECT_EQ(error(kSft, {"data.sources[2].weight=1"}),
              "override data.sources[2].weight=1: data.sources has elements 0 to 1, not '2'");
}

// The choices are taken from the tables of data/, so a format or mode added there is known here.
TEST_F(RecipeTest, KnowsEveryDatasetFormatAndImageMode) {
    const auto check = [&](const std::string& key, const std::vector<std::string>& names,
                           const auto& value) {
        const std::string refusal = error(kSft, {key + "=coco"});
        EXPECT_NE(refusal.find("got \"coco\""), std::string::npos) << refusal;
        for (const std::string& name : names) {
            EXPECT_EQ(value(load_recipe(write(kSft), {key + "=" + name})), name);
            EXPECT_NE(refusal.find('"' + name + '"'), std::string::npos) << refusal;
        }
    };
    check("data.sources[1].format", data::dataset_format_names(),
          [](const Recipe& recipe) { return recipe.data.sources[1].format; });
    check("data.image_mode", data::image_mode_names(),
          [](const Recipe& recipe) { return recipe.data.image_mode.value(); });
}

TEST_F(RecipeTest, RefusesWhatIsMissingOrTwice) {
    EXPECT_EQ(error("stage = \"lm\"\n"),
              "r.toml: no data; add a [[data.sources]] table with format "
              "and path");
    EXPECT_EQ(error("[[data.sources]]\nformat = \"text\"\npath = \"a\"\n"),
              "r.toml: stage is missing: lm, clip, align, pretrain or sft");
    EXPECT_EQ(error("stage = \"lm\"\n[[data.sources]]\nformat = \"text\"\n"),
              "r.toml:2: data.sources[0].path is missing");
    EXPECT_EQ(error(std::string(kSft) + "steps = 5\n"),
              "r.toml:16: train.steps and train.epochs are both given; keep one");
    EXPECT_NE(error("stage = \n").find("r.toml:1: "), std::string::npos);
    EXPECT_EQ(
        error("stage = \"lm\"\nwhen = 2024-01-01\n"),
        "r.toml:2: when: expected a string, number, boolean, array or table, not a date or time");
    EXPECT_THROW(load_recipe((folder_ / "absent.toml").string(), {}), Error);
    EXPECT_THROW(load_recipe(write(kSft), {"nonsense"}), UsageError);
}

TEST_F(RecipeTest, ResolvedCopyIsTheSameRecipe) {
    const Recipe recipe = load_recipe(
        write(kSft),
        {"model.projector=mlp2x_gelu", "model.tokenizer_config.vocab_size=512",
         "model.llm_config={hidden_size=64, rope_scaling={type=\"linear\", factor=2.5},"
         " torch_dtype=\"bf16\"}",
         "optimizer.lr=0.1", "optimizer.eps=1e-9", "data.sources[1].name=\"a \\\"b\\\"\""});
    const std::string text = recipe_text(recipe);
    fs::create_directories(folder_ / "elsewhere");
    const Recipe again = load_recipe(write(text, "elsewhere/recipe.toml"), {});
    EXPECT_EQ(recipe_text(again), text);
    EXPECT_EQ(recipe_differences(recipe, again), std::vector<std::string>{});
    EXPECT_EQ(again.data.sources[1].name, "a \"b\"");
    EXPECT_EQ(again.model.llm_config["rope_scaling"]["factor"], 2.5);
}

TEST_F(RecipeTest, DifferencesNameTheKeyUnlessItMayChangeOnResume) {
    const Recipe before = load_recipe(write(kSft), {});
    const Recipe now = load_recipe(
        write(kSft), {"optimizer.lr=1e-3", "train.save_every=3", "train.keep=5", "train.steps=9"});
    EXPECT_EQ(recipe_differences(before, now),
              (std::vector<std::string>{"optimizer.lr was 2e-05 and is 0.001",
                                        "train.epochs was 2.0 and is not set",
                                        "train.steps was not set and is 9"}));
    Recipe shorter = before;
    shorter.data.sources.pop_back();
    EXPECT_EQ(recipe_differences(before, shorter).front(),
              "data.sources[1].format was \"text\" and is not set");
}

TEST(RecipeHelp, ListsEveryKeyWithItsDefault) {
    const std::string help = recipe_help();
    for (const char* key : {"optimizer.lr", "model.llm_config", "data.sources[].weight",
                            "train.max_bad_steps", "schedule.decay"})
        EXPECT_NE(help.find(key), std::string::npos) << key;
    EXPECT_NE(help.find("train.keep  an integer from 2 to 1000000  [2]"), std::string::npos);
}

TEST(StageKind, EveryRowHasItsKindAndANameThatIsReadBack) {
    std::set<std::string> names;
    for (const StageFacts& stage : all_stages()) {
        EXPECT_EQ(&stage_facts(stage.kind), &stage);
        EXPECT_EQ(Json(stage.kind), stage.name);
        EXPECT_EQ(Json(stage.name).get<StageKind>(), stage.kind);
        EXPECT_TRUE(names.insert(stage.name).second) << stage.name;
        EXPECT_TRUE(stage.trainable.llm || stage.trainable.projector ||
                    stage.trainable.vision_tower)
            << stage.name;
    }
    EXPECT_EQ(names.size(), 5u);
    EXPECT_THROW(Json("sfft").get<StageKind>(), Error);
}

TEST(StageKind, DefaultPartsFollowFromTheStage) {
    const std::string help = recipe_help();
    EXPECT_NE(help.find("train the vision tower (default: true if stage is clip)"),
              std::string::npos);
    EXPECT_NE(help.find("(default: true if stage is align, pretrain or sft)"), std::string::npos);
}

TEST(DemoRecipes, AreWhole) {
    const std::filesystem::path folder =
        std::filesystem::path(VILA_SOURCE_DIR) / "tools" / "recipes" / "demo";
    int recipes = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        if (entry.path().extension() != ".toml") continue;
        const Recipe recipe = load_recipe(entry.path().string(), {});
        EXPECT_FALSE(recipe.data.sources.empty()) << entry.path();
        EXPECT_EQ(recipe.train.dtype, "f32") << entry.path();
        ++recipes;
    }
    EXPECT_EQ(recipes, 6);
}

}  // namespace
}  // namespace vila::tools
