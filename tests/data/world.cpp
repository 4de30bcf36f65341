// The miniature world: its texts are true of its images, its files depend only on the options, and
// the expected scores of guessing agree with the questions.

#include "data/world/world.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "data/world/render.h"
#include "data/world/text.h"
#include "tensor/check.h"

namespace vila::data {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string read(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    std::stringstream content;
    content << stream.rdbuf();
    EXPECT_TRUE(stream.good() || stream.eof()) << file;
    return content.str();
}

std::vector<std::string> lines(const fs::path& file) {
    std::vector<std::string> list;
    std::istringstream content(read(file));
    for (std::string line; std::getline(content, line);) list.push_back(line);
    return list;
}

// A small world, created once for all tests of the suite.
class World : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        root_ = fs::temp_directory_path() / ("vila-world-" + std::to_string(::getpid()));
        fs::remove_all(root_);
        fs::create_directories(root_);
        make_world(options(7), root_ / "world");
    }
    static void TearDownTestSuite() { fs::remove_all(root_); }

    static WorldOptions options(uint64_t seed) {
        WorldOptions options = WorldOptions().scaled(.02);
        options.seed = seed;
        options.word_images = 20;
        options.questions = 200;
        return options;
    }
    static fs::path world() { return root_ / "world"; }

    static inline fs::path root_;
};

std::map<std::string, std::string> contents(const fs::path& directory) {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(directory))
        if (entry.is_regular_file())
            files[fs::relative(entry.path(), directory).string()] = read(entry.path());
    return files;
}

TEST_F(World, DependsOnlyOnTheOptions) {
    make_world(options(7), root_ / "again");
    make_world(options(8), root_ / "other");
    const auto first = contents(world());
    EXPECT_EQ(first, contents(root_ / "again"));
    const auto other = contents(root_ / "other");
    ASSERT_EQ(first.size(), other.size());
    for (const auto& [name, content] : first) EXPECT_NE(content, other.at(name)) << name;
}

TEST_F(World, RefusesToOverwrite) {
    try {
        make_world(options(7), world());
        FAIL() << "no error";
    } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find(": exists; move it away"), std::string::npos);
    }
}

// Returns the attributes of an image from its caption "a small red circle top left and a ... ."
std::vector<std::map<std::string, std::string>> parse_caption(const std::string& caption) {
    std::vector<std::map<std::string, std::string>> objects;
    std::istringstream words(caption);
    std::string word;
    while (words >> word && word != ".") {
        std::map<std::string, std::string> object;
        if (word == "and") words >> word;
        EXPECT_EQ(word, "a");
        std::string vertical, horizontal;
        words >> object["size"] >> object["color"] >> object["shape"] >> vertical >> horizontal;
        object["position"] = vertical + " " + horizontal;
        objects.push_back(object);
    }
    return objects;
}

TEST_F(World, AnswersAgreeWithCaptions) {
    std::map<std::string, std::string> captions;
    for (const std::string& line : lines(world() / "captions.jsonl")) {
        const json pair = json::parse(line);
        captions[pair["image"]] = pair["caption"];
        EXPECT_TRUE(fs::exists(world() / "images" / pair["image"]));
    }
    int checked = 0;
    for (const json& row : json::parse(read(world() / "instructions.json"))) {
        if (!captions.count(row["image"])) continue;
        const auto objects = parse_caption(captions[row["image"]]);
        const json& turns = row["conversations"];
        for (size_t turn = 0; turn < turns.size(); turn += 2) {
            std::string question = turns[turn]["value"];
            EXPECT_EQ(question.starts_with("<image>\n"), turn == 0);
            if (turn == 0) question = question.substr(8);
            const std::string answer = turns[turn + 1]["value"];
            // At the beginning of a conversation, vague requests ask for the description too.
            if (question == "describe the image ." || answer.starts_with("a ")) {
                EXPECT_EQ(answer + " .", captions[row["image"]]);
            } else if (question == "how many objects are there ?") {
                EXPECT_EQ(answer, kCounts[objects.size() - 1]);
            } else {
                int fitting = 0;
                for (const auto& object : objects) {
                    const bool named = question.find(object.at("shape")) != std::string::npos ||
                                       question.find(object.at("color")) != std::string::npos ||
                                       question.find(object.at("position")) != std::string::npos ||
                                       question.find(" it ") != std::string::npos ||
                                       question == "where is the object ?";
                    if (!named) continue;
                    for (const auto& [name, value] : object) fitting += value == answer;
                }
                EXPECT_GE(fitting, 1) << question << " " << answer << " " << captions[row["image"]];
            }
            ++checked;
        }
    }
    EXPECT_GT(checked, 100);
}

// No training conversation contains the question of the in-context task, but some contain vague
// requests; the answers to those within a conversation are of one kind.
TEST_F(World, VagueRequestsHaveOneKindOfAnswer) {
    std::map<std::string, std::string> captions;
    for (const std::string& line : lines(world() / "captions.jsonl")) {
        const json pair = json::parse(line);
        captions[pair["image"]] = pair["caption"];
    }
    EXPECT_EQ(read(world() / "instructions.json").find(kOpenQuestion), std::string::npos);
    EXPECT_EQ(read(world() / "instructions-multi.json").find(kOpenQuestion), std::string::npos);
    std::map<std::string, int> seen;
    for (const json& row : json::parse(read(world() / "instructions-multi.json"))) {
        const json& turns = row["conversations"];
        const std::string question = turns[0]["value"];
        const bool vague = question.find("go on") != std::string::npos ||
                           question.find("this") != std::string::npos;
        std::set<std::string> kinds;
        for (size_t image = 0; vague && image < row["image"].size(); ++image) {
            EXPECT_EQ(turns[2 * image]["value"], question);
            const std::string caption = captions[row["image"][image]];
            if (caption.empty()) continue;
            const std::string answer = turns[2 * image + 1]["value"];
            std::string kind = answer + " ." == caption ? "description" : "none";
            const auto objects = parse_caption(caption);
            for (const auto& [name, value] : objects.at(0))
                if (value == answer) kind = name;
            kinds.insert(kind);
        }
        EXPECT_LE(kinds.size(), 1u) << row;
        for (const std::string& kind : kinds) ++seen[kind];
    }
    EXPECT_EQ(seen.size(), 4u);  // color, shape, size, description
    EXPECT_EQ(seen.count("none") + seen.count("position"), 0u);
}

TEST_F(World, TestImagesAndQuestionsAreHeldOut) {
    const json description = json::parse(read(world() / "world.json"));
    ASSERT_EQ(description["tasks"].size(), 9u);
    for (const json& task : description["tasks"]) {
        const auto questions = lines(world() / task["file"].get<std::string>());
        EXPECT_EQ(questions.size(), task["questions"].get<size_t>());
        for (const std::string& line : questions) {
            const json question = json::parse(line);
            if (question.contains("image")) {
                EXPECT_TRUE(question["image"].get<std::string>().starts_with("test/"));
                EXPECT_EQ(question["shots"].size(), 4u);
            }
            if (question.contains("choices")) {
                EXPECT_EQ(std::count(question["choices"].begin(), question["choices"].end(),
                                     question["answer"]),
                          1);
            }
        }
        if (task.contains("unbound")) {
            EXPECT_GT(task["unbound"].get<double>(), task["chance"].get<double>());
            EXPECT_GE(task["unbound_majority"].get<double>() + .02, task["unbound"].get<double>());
            EXPECT_LT(task["unbound"].get<double>(), .8);
        }
    }
}

TEST_F(World, DocumentsShowTheirImagesBeforeTheirSentences) {
    for (const std::string& line : lines(world() / "interleaved.jsonl")) {
        const json document = json::parse(line);
        int64_t last = -1;
        ASSERT_GE(document["image_info"].size(), 3u);
        ASSERT_LE(document["image_info"].size(), 6u);
        for (const json& image : document["image_info"]) {
            const int64_t index = image["matched_text_index"];
            EXPECT_GT(index, last);
            EXPECT_LT(index, static_cast<int64_t>(document["text_list"].size()));
            last = index;
        }
        EXPECT_EQ(document["similarity_matrix"].size(), document["image_info"].size());
    }
}

TEST(WorldText, AsksOnlyAboutUniqueObjects) {
    Scene scene;
    scene.objects = {{0, 1, 2, 0}, {1, 1, 3, 1}, {3, 0, 2, 1}};
    WorldRandom random(5, "test");
    for (int round = 0; round < 50; ++round) {
        // There are two squares, so only the circle is unique by shape; two objects are blue, so
        // only the yellow square is unique by color.
        const auto color = ask(scene, {false, Attribute::Color, Attribute::Shape}, random);
        ASSERT_TRUE(color);
        EXPECT_EQ(color->question.text, "what color is the circle ?");
        EXPECT_EQ(color->question.answer, "blue");
        const auto place = ask(scene, {false, Attribute::Position, Attribute::Color}, random);
        EXPECT_EQ(place->question.text, "where is the yellow object ?");
        EXPECT_EQ(place->question.answer, "top right");
    }
    scene.objects.pop_back();
    EXPECT_FALSE(ask(scene, {false, Attribute::Color, Attribute::Shape}, random));
    EXPECT_EQ(ask(scene, {true}, random)->question.answer, "two");
}

TEST(WorldText, DocumentsHaveTheirLength) {
    const Facts facts(3);
    WorldRandom random(3, "test");
    const auto words = [](const std::string& text) {
        std::istringstream stream(text);
        return std::distance(std::istream_iterator<std::string>(stream), {});
    };
    for (int round = 0; round < 20; ++round)
        for (const int limit : {1, 17, 64}) {
            EXPECT_EQ(words(recall_document(limit, random)), limit);
            EXPECT_EQ(words(list_document(limit, random)), limit);
            EXPECT_EQ(words(scene_document(limit, random)), limit);
            EXPECT_EQ(words(fact_document(limit, facts, random)), limit);
        }
}

TEST(WorldPictures, ShowEveryObjectInItsCell) {
    WorldRandom random(11, "test");
    for (int cell = 0; cell < 4; ++cell)
        for (int shape = 0; shape < 5; ++shape) {
            Scene scene;
            scene.objects = {{cell, shape, 5, 1}};  // white
            const Image image = render_scene(scene, random);
            std::array<int, 4> bright{};
            for (int y = 0; y < kSceneSide; ++y)
                for (int x = 0; x < kSceneSide; ++x) {
                    const auto pixel = static_cast<size_t>(y * kSceneSide + x) * 3;
                    bright[static_cast<size_t>(y / 16 * 2 + x / 16)] +=
                        image.rgb[pixel] > 150 && image.rgb[pixel + 1] > 150;
                }
            for (int other = 0; other < 4; ++other)
                EXPECT_EQ(bright[static_cast<size_t>(other)] > 30, other == cell);
        }
}

TEST(WorldPictures, RefuseUnknownLetters) {
    WorldRandom random(1, "test");
    EXPECT_EQ(render_word("CAT", random).rgb.size(), 64u * 64u * 3u);
    EXPECT_THROW(render_word("Q", random), Error);
    EXPECT_THROW(render_word("", random), Error);
}

TEST(WorldRandom, StreamsAreUniformAndIndependent) {
    WorldRandom one(1, "a");
    WorldRandom other(1, "b");
    EXPECT_NE(one.next(), other.next());
    std::array<int, 7> counts{};
    double sum = 0;
    double squares = 0;
    constexpr int kDraws = 70000;
    for (int draw = 0; draw < kDraws; ++draw) {
        ++counts[static_cast<size_t>(one.below(7))];
        const double value = one.normal();
        sum += value;
        squares += value * value;
    }
    for (const int count : counts) EXPECT_NEAR(count, kDraws / 7, 500);
    EXPECT_NEAR(sum / kDraws, 0, .02);
    EXPECT_NEAR(squares / kDraws, 1, .03);
    std::vector<int> sample = one.sample(5, 5);
    EXPECT_EQ(std::set<int>(sample.begin(), sample.end()).size(), 5u);
}

}  // namespace
}  // namespace vila::data
