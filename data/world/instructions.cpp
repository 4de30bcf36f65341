// Writes conversations about one image, several images, written words, and no image.

#include <array>

#include "data/world/corpora.h"
#include "data/world/evaluation.h"
#include "data/world/render.h"
#include "data/world/text.h"

namespace vila::data {

namespace {

// Writes a JSON array, one element per line.
class ArrayWriter {
  public:
    explicit ArrayWriter(const std::filesystem::path& file) : file_(file) {}

    void add(const Json& value) {
        file_.line((written_ ? "," : "[") + value.dump());
        written_ = true;
    }
    void close() {
        file_.line(std::string(written_ ? "]" : "[]"));
        file_.close();
    }

  private:
    LineWriter file_;
    bool written_ = false;
};

void add_turn(Json& conversations, const Question& question, bool with_image) {
    conversations.push_back(
        {{"from", "human"}, {"value", (with_image ? "<image>\n" : "") + question.text}});
    conversations.push_back({{"from", "gpt"}, {"value", question.answer}});
}

// Requests whose meaning depends on the conversation before them; at its beginning they ask for the
// description. There are many, so that a model understands new wordings too. kOpenQuestion is not
// among them: it is for tests.
constexpr std::array<std::string_view, 12> kVagueRequests = {
    "and this one ?",      "say what you see .", "go on .",        "what now ?",
    "your turn .",         "tell me .",          "the next one .", "how is it ?",
    "what have we here ?", "same again .",       "look at it .",   "this ?"};

// Returns the questions about an image of a single object, the description last. The question for
// the place has other words than kOpenQuestion, which never asks for a place.
std::vector<Question> single_object_questions(const Scene& scene) {
    const Object& object = scene.objects[0];
    return {{"what color is it ?", word_of(object, Attribute::Color)},
            {"what shape is it ?", word_of(object, Attribute::Shape)},
            {"what size is it ?", word_of(object, Attribute::Size)},
            {"where is the object ?", word_of(object, Attribute::Position)},
            description_question(scene)};
}

// Returns the description and one or two other questions in random order. If a vague request asks
// for the description, it comes first.
std::vector<Question> describe_and_ask(const Scene& scene, WorldRandom& random) {
    std::vector<Question> questions = single_object_questions(scene);
    Question description = questions.back();
    questions.pop_back();
    random.shuffle(questions);
    questions.resize(static_cast<size_t>(random.between(1, 2)));
    const bool vague = random.chance(.5);
    if (vague) description.text = random.pick(kVagueRequests);
    questions.insert(questions.begin() + (vague ? 0 : random.below(2)), description);
    return questions;
}

// Asks one question about each of several images: one kind of look-up for all, one question about
// single objects for all, any question about single objects, or a vague request with answers of one
// kind.
class ManyImages {
  public:
    explicit ManyImages(WorldRandom& random)
        : vague_(random.chance(.4) ? random.pick(kVagueRequests) : std::string_view()),
          kind_(random.pick(kQuestionKinds)),
          single_(random.chance(.5)),
          mixed_(random.chance(.25)),
          which_(static_cast<size_t>(random.below(5))) {}

    std::pair<std::string, Question> next(const Pool& pool, WorldRandom& random) const {
        if (!vague_.empty()) {
            const SceneImage& image = pool.one_object(random);
            const size_t kind = which_ == 3 ? 4 : which_;  // description in place of position
            const std::string answer = single_object_questions(image.scene)[kind].answer;
            return {image.file, {std::string(vague_), answer}};
        }
        while (true) {
            const SceneImage& image = single_ ? pool.one_object(random) : pool.several(random);
            if (single_) {
                const size_t which = mixed_ ? static_cast<size_t>(random.below(5)) : which_;
                return {image.file, single_object_questions(image.scene)[which]};
            }
            const auto asked = ask(image.scene, kind_, random);
            if (asked) return {image.file, asked->question};
        }
    }

  private:
    std::string_view vague_;
    QuestionKind kind_;
    bool single_, mixed_;
    size_t which_;
};

}  // namespace

void write_instructions(const WorldOptions& options, const Pool& pool,
                        const std::filesystem::path& out) {
    WorldRandom random(options.seed, "instructions");
    ArrayWriter file(out / "instructions.json");
    for (int row = 0; row < options.conversations; ++row) {
        const bool single = random.chance(.25);
        const SceneImage& image = single ? pool.one_object(random) : pool.several(random);
        std::vector<Question> questions;
        if (single)
            questions = describe_and_ask(image.scene, random);
        else
            for (int turn = random.between(2, 4); turn > 0; --turn)
                questions.push_back(ask_anything(image.scene, random));
        Json conversations = Json::array();
        for (const Question& question : questions)
            add_turn(conversations, question, conversations.empty());
        const Json value = {{"id", row}, {"image", image.file}, {"conversations", conversations}};
        file.add(value);
    }
    file.close();
}

void write_multi_instructions(const WorldOptions& options, const Pool& pool,
                              const std::filesystem::path& out) {
    WorldRandom random(options.seed, "instructions-multi");
    ArrayWriter file(out / "instructions-multi.json");
    for (int row = 0; row < options.multi_conversations; ++row) {
        const ManyImages source(random);
        Json images = Json::array();
        Json conversations = Json::array();
        for (int left = random.between(2, 5); left > 0; --left) {
            const auto [image, question] = source.next(pool, random);
            images.push_back(image);
            add_turn(conversations, question, true);
        }
        const Json value = {{"id", row}, {"image", images}, {"conversations", conversations}};
        file.add(value);
    }
    file.close();
}

void write_word_instructions(const std::string& name, int rows, const WorldOptions& options,
                             const std::filesystem::path& out) {
    WorldRandom random(options.seed, name);
    std::filesystem::create_directories(out / "images" / name);
    ArrayWriter file(out / (name + ".json"));
    for (int row = 0; row < rows; ++row) {
        std::string word;
        std::string spelled;
        for (int letter = 0; letter < 3; ++letter) {
            word += random.pick(kWordLetters);
            spelled += (letter > 0 ? " " : "") + word.substr(word.size() - 1);
        }
        const std::string image = name + "/" + std::to_string(row) + ".png";
        write_picture(render_word(word, random), out / "images" / image);
        Json conversations = Json::array();
        add_turn(conversations, {"what is written ?", spelled}, true);
        const Json value = {{"id", row}, {"image", image}, {"conversations", conversations}};
        file.add(value);
    }
    file.close();
}

void write_text_instructions(const WorldOptions& options, const Facts& facts,
                             const std::filesystem::path& out) {
    WorldRandom random(options.seed, "text-instructions");
    LineWriter file(out / "text-instructions.jsonl");
    for (int row = 0; row < options.text_instructions; ++row) {
        const double kind = random.uniform();
        if (kind < .75) {
            const int fact = random.below(facts.size());
            const Question question = kind < .4 ? Question{facts.question(fact), facts.answer(fact)}
                                                : told_question(random);
            file.line(Json{{"question", question.text}, {"answer", question.answer}});
            continue;
        }
        Json messages = Json::array();
        for (const Question& item : list_questions(random.between(4, 7), random)) {
            messages.push_back({{"role", "user"}, {"content", item.text}});
            messages.push_back({{"role", "assistant"}, {"content", item.answer}});
        }
        file.line(Json{{"messages", messages}});
    }
    file.close();
}

}  // namespace vila::data
