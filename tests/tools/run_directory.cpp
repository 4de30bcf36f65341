// Which folders a training run accepts as its own, and which files it never touches.

#include "tools/train/run_directory.h"

#include <fstream>

#include <gtest/gtest.h>

#include "tensor/file.h"
#include "tests/support/temporary_directory.h"
#include "tools/train/checkpoint_format.h"

namespace vila::tools {
namespace {

namespace fs = std::filesystem;

class RunDirectoryTest : public ::testing::Test {
  protected:
    RunDirectoryTest() {
        write("lm.toml", "stage = \"lm\"\n[[data.sources]]\nformat = \"text\"\npath = \"a.txt\"\n");
    }
    fs::path at(const std::string& name) const { return folder_.path() / name; }
    void write(const std::string& name, const std::string& text) const {
        fs::create_directories(at(name).parent_path());
        std::ofstream(at(name)) << text;
    }
    Recipe recipe(const std::vector<std::string>& overrides = {}) const {
        return load_recipe(at("lm.toml").string(), overrides);
    }
    // Starts training in run/ with overrides. Returns the message, without the name of the folder.
    std::string start(const std::vector<std::string>& overrides = {},
                      const std::string& source = "lm.toml") const {
        const std::string begin = str("--out ", at("run").string());
        try {
            const RunDirectory run(at("run"));
            run.store_recipe(recipe(overrides), at(source));
        } catch (const Error& error) {
            const std::string message = error.what();
            EXPECT_TRUE(message.starts_with(begin)) << message;
            return message.substr(std::min(begin.size(), message.size()));
        }
        return "";
    }

    TemporaryDirectory folder_;
};

TEST_F(RunDirectoryTest, RefusesAFolderThatIsNoRun) {
    for (const char* name : {"notes.txt", "model/config.json", "tokenizer/tokenizer.json",
                             "recipe.toml", "checkpoints/step-00000001/x"}) {
        fs::remove_all(at("run"));
        write(std::string("run/") + name, "the user's");
        EXPECT_EQ(start().find(": holds files, but not a training run; choose"), 0u) << name;
        EXPECT_EQ(read_file(at(std::string("run/") + name)), "the user's");
        EXPECT_FALSE(fs::exists(at("run/.lock")));
    }
}

TEST_F(RunDirectoryTest, TakesARunWithoutItsHiddenFiles) {
    write("run/recipe.toml", recipe_text(recipe()));
    write("run/checkpoints/step-00000005/" + std::string(kManifest), "{}");
    write("run/model/config.json", "{}");
    EXPECT_EQ(start(), "");
    EXPECT_EQ(start(), "");
    EXPECT_EQ(start({"optimizer.lr=1"}).find(" holds a run of another recipe; optimizer.lr was "),
              0u);
}

TEST_F(RunDirectoryTest, ReplacesOnlyItsOwnRecipe) {
    EXPECT_EQ(start(), "");
    EXPECT_EQ(read_file(at("run/recipe.toml")), recipe_text(recipe()));
    EXPECT_EQ(start({"optimizer.lr=1"}), "");
    EXPECT_EQ(read_file(at("run/recipe.toml")), recipe_text(recipe({"optimizer.lr=1"})));
    EXPECT_EQ(start({"optimizer.lr=1"}, "run/recipe.toml"), "");
    EXPECT_EQ(start({}, "run/recipe.toml")
                  .find(": its recipe.toml is also the recipe to train, and would be overwritten"),
              0u);
    const std::string own = recipe_text(recipe()) + "# my notes\n";
    write("run/recipe.toml", own);
    EXPECT_EQ(start(), "") << "nothing is written for an equal recipe";
    EXPECT_EQ(start({"optimizer.lr=1"}).find(": recipe.toml was not written by this run"), 0u);
    EXPECT_EQ(read_file(at("run/recipe.toml")), own);
}

TEST_F(RunDirectoryTest, TrustsOnlyAModelThatItMade) {
    EXPECT_EQ(start(), "");
    fs::create_directory(at("run/model"));
    EXPECT_EQ(start(), "");
    write("run/model/weights", "the user's");
    EXPECT_EQ(start().find(": model/ was not written by this run"), 0u);
    write("run/model/config.json", "{}");
    EXPECT_EQ(start().find(": model/ was not written by this run"), 0u);
    RunDirectory(at("run")).record_model();
    EXPECT_EQ(start(), "");
    fs::remove(at("run/recipe.toml"));
    EXPECT_EQ(start().find(": holds model/ but no recipe.toml"), 0u);
    EXPECT_EQ(read_file(at("run/model/weights")), "the user's");
}

TEST_F(RunDirectoryTest, RemovesOnlyATokenizerThatItMade) {
    write("elsewhere/tokenizer.json", "{}");
    EXPECT_EQ(start(), "");
    write("run/tokenizer/tokenizer.json", "{}");
    EXPECT_EQ(start().find(": tokenizer/ was not made by this run"), 0u);
    EXPECT_EQ(start({"model.tokenizer=elsewhere"}), "") << "it is not needed";
    EXPECT_EQ(read_file(at("run/tokenizer/tokenizer.json")), "{}");
    RunDirectory(at("run")).record_tokenizer(at("run/tokenizer"));
    EXPECT_EQ(start({"model.tokenizer=elsewhere"}), "");
    EXPECT_EQ(read_file(at("run/tokenizer/tokenizer.json")), "{}") << "of an equal recipe";
    write("run/tokenizer/notes", "the user's");
    EXPECT_EQ(start().find(": tokenizer/ was not made by this run"), 0u);
    fs::remove(at("run/tokenizer/notes"));
    EXPECT_EQ(start(), "");
    EXPECT_FALSE(fs::exists(at("run/tokenizer"))) << "of another recipe";
}

TEST_F(RunDirectoryTest, RefusesInputsThatItWouldWrite) {
    const auto refusal = [&](const std::string& override, const std::string& out) {
        try {
            refuse_inputs_in_run(recipe({override}), at(out));
        } catch (const Error& error) {
            return std::string(error.what());
        }
        return std::string();
    };
    fs::create_directories(at("run/model/llm"));
    fs::create_directories(at("other/model"));
    write("run/log.jsonl", "");
    EXPECT_NE(refusal("model.init=run/model", "run")
                  .find("model would be written and is also "
                        "model.init"),
              std::string::npos);
    EXPECT_NE(refusal("model.llm=run/model/llm", "run"), "");
    EXPECT_NE(refusal("data.sources[0].path=run/log.jsonl", "run"), "");
    EXPECT_NE(refusal("model.init=other/model", "other/model/sft").find("lies inside model.init"),
              std::string::npos);
    EXPECT_EQ(refusal("model.init=other/model", "other/run"), "");
    EXPECT_EQ(refusal("model.init=other/model", "run"), "");
    EXPECT_EQ(refusal("data.sources[0].path=a.txt", "run"), "");
    // A projector or a template is a directory or a file, or has the name of a kind.
    EXPECT_NE(refusal("model.projector=./run/model", "run"), "");
    EXPECT_EQ(refusal("model.projector=mlp_downsample", "mlp_downsample"), "");
    write("run/model/chat.jinja", "{{ messages[0].content }}");
    EXPECT_NE(refusal("data.template=run/model/chat.jinja", "run").find("also data.template"),
              std::string::npos);
    EXPECT_EQ(refusal("data.template=qa", "qa"), "");
}

TEST_F(RunDirectoryTest, NoticesThatItsCheckpointsAreGone) {
    const std::string refusal = ": log.jsonl has steps, but all checkpoints of this run are gone";
    EXPECT_EQ(start(), "");
    write("run/log.jsonl", "{\"step\":1}\n");
    EXPECT_EQ(start(), "") << "it was killed before the first one";
    RunDirectory(at("run")).record_checkpoints();
    EXPECT_EQ(start().find(refusal), 0u);
    write("run/checkpoints/latest", "step-00000005\n");
    EXPECT_EQ(start().find(refusal), 0u);
    write("run/checkpoints/step-00000005.damaged/x", "");
    EXPECT_EQ(start(), "") << "CheckpointStore looks at it";
    fs::remove_all(at("run/checkpoints"));
    fs::remove(at("run/log.jsonl"));
    EXPECT_EQ(start(), "");
    write("run/log.jsonl", "{\"step\":1}\n");
    EXPECT_EQ(start(), "") << "it began again";
}

// Finishes run/ with a model of one part.
class FinishedRunTest : public RunDirectoryTest {
  protected:
    FinishedRunTest() {
        EXPECT_EQ(start(), "");
        const RunDirectory run(at("run"));
        run.record_model();
        write_model();
        run.record_model_files();
    }
    void write_model() const {
        write("run/model/config.json", R"({"parts": ["llm"]})");
        write("run/model/llm/config.json", "{}");
        write("run/model/llm/tokenizer.json", "{}");
        const std::string header = R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
        std::string length(8, '\0');
        length[0] = static_cast<char>(header.size());
        write("run/model/llm/model.safetensors", length + header + std::string(8, '\0'));
    }
    void add_checkpoint() const {
        write("run/checkpoints/step-00000005/" + std::string(kManifest), "{}");
    }
    std::string settle() const {
        try {
            return RunDirectory(at("run")).settle_model() ? "finished" : "unfinished";
        } catch (const Error& error) {
            return error.what();
        }
    }
};

TEST_F(FinishedRunTest, NoticesWhatIsMissingOrCut) {
    EXPECT_EQ(settle(), "finished");
    write("run/model/notes", "the user's");
    EXPECT_EQ(settle(), "finished");
    for (const char* file :
         {"config.json", "llm/config.json", "llm/tokenizer.json", "llm/model.safetensors"}) {
        fs::remove(at("run/model") / file);
        const std::string refusal = settle();
        EXPECT_NE(refusal.find("model/ is damaged ("), std::string::npos) << refusal;
        EXPECT_NE(refusal.find("no checkpoint is left to write it from"), std::string::npos);
        write_model();
    }
    fs::resize_file(at("run/model/llm/model.safetensors"), 69);
    EXPECT_NE(settle().find("model/ is damaged ("), std::string::npos);
    EXPECT_EQ(start(), "") << "other starts are not refused for it";
    write("run/model/llm/model.safetensors", "");
    EXPECT_NE(settle().find("model/ is damaged ("), std::string::npos);
}

TEST_F(FinishedRunTest, KeepsTheDamagedModelForANewOne) {
    add_checkpoint();
    EXPECT_EQ(settle(), "finished");
    write("run/model/notes", "the user's");
    fs::remove(at("run/model/llm/model.safetensors"));
    EXPECT_EQ(settle(), "unfinished");
    EXPECT_FALSE(fs::exists(at("run/model")));
    EXPECT_EQ(read_file(at("run/model.damaged/notes")), "the user's");
    EXPECT_EQ(settle(), "unfinished");
}

// The kind of a projector is no name of a folder in the current one.
TEST_F(RunDirectoryTest, MayHaveTheNameOfAKind) {
    const fs::path before = fs::current_path();
    fs::current_path(folder_.path());
    fs::create_directory("mlp_downsample");
    fs::create_directory("qa");
    for (const char* override : {"model.projector=mlp_downsample", "data.template=qa"})
        for (const char* out : {"mlp_downsample/run", "qa/run"})
            EXPECT_NO_THROW(refuse_inputs_in_run(recipe({override}), out)) << override;
    fs::current_path(before);
}

}  // namespace
}  // namespace vila::tools
