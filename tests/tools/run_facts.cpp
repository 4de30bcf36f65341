// The facts about a run in its checkpoints, and the changes that make resuming fail.

#include "tools/train/run_facts.h"

#include <fstream>

#include <gtest/gtest.h>

#include "tests/support/temporary_directory.h"
#include "tests/support/text_helpers.h"

namespace vila::tools {
namespace {

namespace fs = std::filesystem;

class RunFactsTest : public ::testing::Test {
  protected:
    RunFactsTest() {
        write("lm.toml", "stage = \"lm\"\n[[data.sources]]\nformat = \"text\"\npath = \"a.txt\"\n");
        write("a.txt", "one\ntwo\n");
        write("tokenizer.json", "{}");
    }
    fs::path at(const std::string& name) const { return folder_.path() / name; }
    void write(const std::string& name, const std::string& text) const {
        std::ofstream(at(name)) << text;
    }
    Json facts(const std::vector<std::string>& overrides = {}) const {
        const Recipe recipe = load_recipe(at("lm.toml").string(), overrides);
        return run_facts(recipe, open_sources(recipe), folder_.path(), 7);
    }
    static std::string change(const Json& before, const Json& now) {
        return data::message_of([&] { check_facts(before, now); });
    }
    void set_time(int64_t seconds) const {
        const fs::file_time_type now = fs::last_write_time(at("a.txt"));
        fs::last_write_time(at("a.txt"), now + std::chrono::seconds(seconds));
    }

    TemporaryDirectory folder_;
};

TEST_F(RunFactsTest, AcceptsTheSameRun) {
    const Json before = facts();
    set_time(100);
    EXPECT_NO_THROW(check_facts(before, facts({"train.keep=5", "train.save_every=3"})));
    EXPECT_EQ(shared_facts(before), shared_facts(facts()));
    Json older = before;
    for (const char* key : {"sources", "recipe", "tokenizer"}) older.erase(key);
    write("a.txt", "ein\nabc\n");
    write("tokenizer.json", "{ }");
    EXPECT_NO_THROW(check_facts(older, facts({"optimizer.lr=1"}))) << "of an earlier version";
    EXPECT_NO_THROW(check_facts(parse_json(before.dump(), ""), before));
}

TEST_F(RunFactsTest, NamesTheKeyOfAnotherRecipe) {
    const Json before = facts({"data.max_length=64"});
    EXPECT_EQ(change(before, facts({"data.max_length=32"})),
              "the checkpoint is of another recipe; data.max_length was 64 and is 32; resume with "
              "the old values or choose another --out");
    EXPECT_NE(change(before, facts({"data.max_length=64", "optimizer.projector_lr=1"}))
                  .find("; optimizer.projector_lr was not set and is 1.0"),
              std::string::npos);
    Json older = before;
    older["recipe"].erase("train.seed");
    EXPECT_NO_THROW(check_facts(older, before)) << "the key is newer";
    Json other = before;
    other["recipe"]["data.sources[1].weight"] = 2;
    EXPECT_NE(change(other, before).find("data.sources[1].weight was 2 and is not set"),
              std::string::npos);
    // The data may move with the run.
    fs::create_directory(at("moved"));
    fs::copy_file(at("a.txt"), at("moved/a.txt"));
    EXPECT_NO_THROW(
        check_facts(before, facts({"data.max_length=64", "data.sources[0].path=moved/a.txt"})));
}

TEST_F(RunFactsTest, NoticesChangedData) {
    const Json before = facts();
    write("a.txt", "one\nTwo\n");
    EXPECT_EQ(change(before, facts()),
              "data source a has other content than when the run began; resume with the same data "
              "or choose another --out");
    write("a.txt", "one\nthree\n");
    EXPECT_NE(
        change(before, facts()).find("data source a had 8 bytes when the run began and has 10"),
        std::string::npos);
    write("a.txt", "one\n");
    EXPECT_NE(change(before, facts()).find("had 2 records when the run began and has 1"),
              std::string::npos);
}

TEST_F(RunFactsTest, ComparesTheTimeOfLargeData) {
    write("a.txt", "one\n" + std::string(2 << 20, 'x'));
    const Json before = facts();
    EXPECT_FALSE(before.at("sources").at("a").contains("hash"));
    EXPECT_NO_THROW(check_facts(before, facts()));
    set_time(100);
    const std::string message = change(before, facts());
    EXPECT_NE(message.find("data source a was modified since the run began"), std::string::npos);
    const std::string old = before.at("sources").at("a").at("modified").dump();
    EXPECT_NE(message.find("touch -d @" + old), std::string::npos) << message;
    set_time(-100);
    EXPECT_NO_THROW(check_facts(before, facts()));
}

TEST_F(RunFactsTest, NoticesAnotherTokenizer) {
    const Json before = facts();
    write("tokenizer.json", "{ }");
    EXPECT_EQ(change(before, facts()).find("the tokenizer's files are not those"), 0u);
}

}  // namespace
}  // namespace vila::tools
