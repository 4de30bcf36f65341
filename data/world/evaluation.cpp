#include "data/world/evaluation.h"

#include <algorithm>
#include <span>

#include "tensor/check.h"

namespace vila::data {

namespace {

constexpr int kShots = 4;

// A question about an image (or about none), and the expected scores of guessing.
struct Item {
    std::string image;
    Question question;
    double chance = 0;
    double unbound = 0;
    double unbound_majority = 0;
};

Json json_of(const Item& item) {
    Json value;
    if (!item.image.empty()) value["image"] = item.image;
    value["text"] = (item.image.empty() ? "" : "<image>\n") + item.question.text;
    value["answer"] = item.question.answer;
    return value;
}

// Returns every value that an answer could have: the list of words that contains it.
std::vector<std::string> values_like(const std::string& answer) {
    for (const std::span<const std::string_view> list :
         {std::span<const std::string_view>(kColors), std::span<const std::string_view>(kShapes),
          std::span<const std::string_view>(kSizes), std::span<const std::string_view>(kPositions),
          std::span<const std::string_view>(kCounts)})
        if (std::find(list.begin(), list.end(), answer) != list.end())
            return {list.begin(), list.end()};
    VILA_ASSERT(false);
}

double chance_of(const std::string& answer) {
    return 1.0 / static_cast<double>(values_like(answer).size());
}

// Computes the expected scores of guesses that use the scene but not which object is meant.
void measure_unbound(const Scene& scene, Attribute wanted, int answer, Item& item) {
    const auto shared = [&](int value) {
        return std::count_if(scene.objects.begin(), scene.objects.end(), [&](const Object& object) {
            return value_of(object, wanted) == value;
        });
    };
    item.unbound = static_cast<double>(shared(answer)) / scene.count();
    int64_t most = 0;
    std::vector<int> majority;
    for (const Object& object : scene.objects) {
        const int value = value_of(object, wanted);
        if (shared(value) > most) majority.clear();
        most = std::max<int64_t>(most, shared(value));
        if (shared(value) == most &&
            std::find(majority.begin(), majority.end(), value) == majority.end())
            majority.push_back(value);
    }
    if (shared(answer) == most) item.unbound_majority = 1.0 / static_cast<double>(majority.size());
}

// Asks a question of this kind about a scene of two to four objects: with one object, its attribute
// would be the only answer. Questions that count objects allow scenes of one.
Item look_up(const Pool& pool, const QuestionKind& kind, WorldRandom& random) {
    while (true) {
        const SceneImage& image = pool.several(random);
        if (image.scene.count() < 2 && !kind.count) continue;
        const auto asked = ask(image.scene, kind, random);
        if (!asked) continue;
        Item item{image.file, asked->question, chance_of(asked->question.answer)};
        if (asked->about)
            measure_unbound(image.scene, kind.wanted, value_of(*asked->about, kind.wanted), item);
        return item;
    }
}

Item describe(const Pool& pool, WorldRandom& random) {
    const SceneImage& image = pool.one_object(random);
    constexpr size_t kDescriptions =
        kColors.size() * kShapes.size() * kSizes.size() * kPositions.size();
    return {image.file, description_question(image.scene), 1.0 / kDescriptions};
}

// Writes the questions of a task and sums the scores of guessing.
class Task {
  public:
    Task(std::string name, const std::filesystem::path& out)
        : name_(std::move(name)), file_(out / (name_ + ".jsonl")) {}

    void add(const Item& item, const std::vector<Item>& shots,
             const std::vector<std::string>& choices = {}) {
        Json value = json_of(item);
        value["question_id"] = name_ + "-" + std::to_string(questions_++);
        if (!choices.empty()) value["choices"] = choices;
        if (!shots.empty()) value["shots"] = Json::array();
        for (const Item& shot : shots) value["shots"].push_back(json_of(shot));
        file_.line(value);
        chance_ += item.chance;
        unbound_ += item.unbound;
        majority_ += item.unbound_majority;
    }

    Json finish() {
        file_.close();
        Json summary = {{"name", name_},
                        {"file", "eval/" + name_ + ".jsonl"},
                        {"questions", questions_},
                        {"chance", chance_ / questions_}};
        if (unbound_ > 0) {
            summary["unbound"] = unbound_ / questions_;
            summary["unbound_majority"] = majority_ / questions_;
        }
        return summary;
    }

  private:
    std::string name_;
    LineWriter file_;
    int questions_ = 0;
    double chance_ = 0;
    double unbound_ = 0;
    double majority_ = 0;
};

Json write_look_ups(const std::string& name, const QuestionKind& kind, int questions, uint64_t seed,
                    const Pool& train, const Pool& test, const std::filesystem::path& out) {
    WorldRandom random(seed, "eval " + name);
    Task task(name, out);
    for (int question = 0; question < questions; ++question) {
        std::vector<Item> shots;
        for (int shot = 0; shot < kShots; ++shot) shots.push_back(look_up(train, kind, random));
        const Item item = look_up(test, kind, random);
        task.add(item, shots, values_like(item.question.answer));
    }
    return task.finish();
}

Json write_captions(int questions, uint64_t seed, const Pool& train, const Pool& test,
                    const std::filesystem::path& out) {
    WorldRandom random(seed, "eval caption");
    Task task("caption", out);
    for (int question = 0; question < questions; ++question) {
        std::vector<Item> shots;
        for (int shot = 0; shot < kShots; ++shot) shots.push_back(describe(train, random));
        task.add(describe(test, random), shots);
    }
    return task.finish();
}

// The question is identical for every attribute; only the examples show which attribute is meant.
Json write_property(int questions, uint64_t seed, const Pool& train, const Pool& test,
                    const std::filesystem::path& out) {
    constexpr std::array<Attribute, 3> kAsked = {Attribute::Color, Attribute::Shape,
                                                 Attribute::Size};
    WorldRandom random(seed, "eval property");
    Task task("property", out);
    for (int question = 0; question < questions; ++question) {
        const Attribute asked = kAsked[static_cast<size_t>(question % 3)];
        const auto name = [&](const Pool& pool) -> Item {
            const SceneImage& image = pool.one_object(random);
            const std::string answer = word_of(image.scene.objects[0], asked);
            return {image.file,
                    {std::string(kOpenQuestion), answer},
                    chance_of(answer) / kAsked.size()};
        };
        std::vector<Item> shots;
        for (int shot = 0; shot < kShots; ++shot) shots.push_back(name(train));
        task.add(name(test), shots);
    }
    return task.finish();
}

Json write_facts(const Facts& facts, const std::filesystem::path& out) {
    Task task("facts", out);
    for (int fact = 0; fact < facts.size(); ++fact) {
        const std::vector<std::string> choices = facts.choices(fact);
        const double chance = 1.0 / static_cast<double>(choices.size());
        task.add({"", {facts.question(fact), facts.answer(fact)}, chance}, {}, choices);
    }
    return task.finish();
}

Json write_told_scenes(int questions, uint64_t seed, const std::filesystem::path& out) {
    WorldRandom random(seed, "eval told");
    Task task("told", out);
    for (int question = 0; question < questions; ++question) {
        const auto tell = [&]() -> Item {
            const Question told = told_question(random);
            return {"", told, chance_of(told.answer)};
        };
        std::vector<Item> shots;
        for (int shot = 0; shot < kShots; ++shot) shots.push_back(tell());
        task.add(tell(), shots);
    }
    return task.finish();
}

}  // namespace

Question description_question(const Scene& scene) {
    const std::string caption = full_caption(scene);
    return {"describe the image .", caption.substr(0, caption.size() - 2)};
}

Json write_evaluations(const WorldOptions& options, const Pool& train, const Pool& test,
                       const Facts& facts, const std::filesystem::path& out) {
    std::filesystem::create_directories(out);
    constexpr std::array<std::string_view, 5> kNames = {"color", "shape", "count", "position",
                                                        "size"};
    const int questions = options.questions;
    Json tasks = Json::array();
    for (size_t task = 0; task < kNames.size(); ++task)
        tasks.push_back(write_look_ups(std::string(kNames[task]), kQuestionKinds[task], questions,
                                       options.seed, train, test, out));
    tasks.push_back(write_captions(questions, options.seed, train, test, out));
    tasks.push_back(write_property(questions, options.seed, train, test, out));
    tasks.push_back(write_facts(facts, out));
    tasks.push_back(write_told_scenes(questions, options.seed, out));
    return tasks;
}

}  // namespace vila::data
