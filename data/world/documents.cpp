// The text-only documents of text.h. They are written word by word and cut at a limit, like the
// blocks of a real corpus.

#include <algorithm>
#include <array>
#include <functional>

#include "data/world/text.h"

namespace vila::data {

namespace {

// Collects words up to a limit.
class Document {
  public:
    explicit Document(int limit) : limit_(limit) {}

    bool full() const { return count_ >= limit_; }
    // Adds words of a text, which single spaces separate, until the document is full.
    void add(const std::string& text) {
        size_t begin = 0;
        while (begin < text.size() && !full()) {
            const size_t end = std::min(text.find(' ', begin), text.size());
            if (count_++ > 0) text_ += ' ';
            text_.append(text, begin, end - begin);
            begin = end + 1;
        }
    }
    std::string take() { return std::move(text_); }

  private:
    int limit_;
    int count_ = 0;
    std::string text_;
};

std::string random_word(WorldRandom& random) {
    switch (random.below(7)) {
        case 0:
            return std::string(random.pick(kCreatures));
        case 1:
            return std::string(random.pick(kFoods));
        case 2:
            return std::string(random.pick(kPlaces));
        case 3:
            return std::string(random.pick(kThings));
        case 4:
            return std::string(random.pick(kColors));
        case 5:
            return std::string(random.pick(kShapes));
        default:
            return std::string(random.pick(kLabels));
    }
}

std::vector<std::string> distinct_words(int count, WorldRandom& random) {
    std::vector<std::string> words;
    while (static_cast<int>(words.size()) < count) {
        const std::string word = random_word(random);
        if (std::find(words.begin(), words.end(), word) == words.end()) words.push_back(word);
    }
    return words;
}

std::string repeated_string(int words, WorldRandom& random) {
    const std::vector<std::string> period = distinct_words(random.between(4, 20), random);
    Document document(words);
    while (!document.full())
        for (const std::string& word : period) document.add(word);
    return document.take();
}

std::string key_value_list(int words, WorldRandom& random) {
    constexpr std::array<int, 5> kPairs = {2, 3, 4, 6, 8};
    const int pairs = random.pick(kPairs);
    const std::vector<std::string> list = distinct_words(2 * pairs, random);
    Document document(words);
    while (!document.full()) {
        const auto key = static_cast<size_t>(2 * random.below(pairs));
        document.add(list[key] + " -> " + list[key + 1] + " ;");
    }
    return document.take();
}

// The hidden rule of a list: an attribute that is the label itself or determines it.
class ListRule {
  public:
    explicit ListRule(WorldRandom& random) : copies_(random.chance(.5)) {
        constexpr std::array<Attribute, 3> kRules = {Attribute::Color, Attribute::Shape,
                                                     Attribute::Size};
        rule_ = kRules[static_cast<size_t>(random.below(copies_ ? 3 : 2))];
        const int values =
            static_cast<int>(rule_ == Attribute::Color ? kColors.size() : kShapes.size());
        allowed_ = random.sample(random.chance(.75) ? 2 : 3, values);
        labels_ = random.sample(3, static_cast<int>(kLabels.size()));
        detail_ = copies_ ? random.between(1, 3) : random.below(4);
    }

    // Returns a random item and its label.
    Question next(WorldRandom& random) const {
        Object object = make_scene(1, random).objects[0];
        if (copies_) return {item(object, random), word_of(object, rule_)};
        const auto value = static_cast<size_t>(random.below(static_cast<int>(allowed_.size())));
        (rule_ == Attribute::Color ? object.color : object.shape) = allowed_[value];
        return {item(object, random), std::string(kLabels[static_cast<size_t>(labels_[value])])};
    }

  private:
    // Detail 0 shows only the attribute of the rule; 1 color and shape, with the size if it is the
    // rule; 2 always the size too; 3 sometimes the position too.
    std::string item(const Object& object, WorldRandom& random) const {
        if (detail_ == 0) return word_of(object, rule_);
        const std::string pair =
            word_of(object, Attribute::Color) + " " + word_of(object, Attribute::Shape);
        if (detail_ == 1 && rule_ != Attribute::Size) return pair;
        const std::string full = word_of(object, Attribute::Size) + " " + pair;
        if (detail_ < 3 || random.chance(.5)) return full;
        return full + " " + word_of(object, Attribute::Position);
    }

    bool copies_;
    Attribute rule_{};
    std::vector<int> allowed_;
    std::vector<int> labels_;
    int detail_ = 0;
};

Question open_question(const Question& item) {
    return {item.text + " . " + std::string(kOpenQuestion), item.answer};
}

// A document describes its scenes in one order of the attributes. The order differs between
// documents, so that a model learns to look up every attribute from every other, forward and
// backward. Color and shape are always stated, size and position in some documents.
std::vector<Attribute> telling_order(WorldRandom& random) {
    std::vector<Attribute> order = {Attribute::Color, Attribute::Shape};
    if (random.chance(.6)) order.push_back(Attribute::Size);
    if (random.chance(.6)) order.push_back(Attribute::Position);
    random.shuffle(order);
    return order;
}

std::string told_scene(const Scene& scene, const std::vector<Attribute>& order) {
    std::string text;
    for (const Object& object : scene.objects) {
        text += text.empty() ? "" : " , ";
        for (size_t index = 0; index < order.size(); ++index)
            text += (index > 0 ? " " : "") + word_of(object, order[index]);
    }
    return text + " .";
}

// Returns a question of a random kind that the stated attributes can answer; none if that kind
// identifies no object of the scene.
std::optional<Question> ask_told(const Scene& scene, const std::vector<Attribute>& order,
                                 WorldRandom& random) {
    const auto told = [&](Attribute attribute) {
        return std::find(order.begin(), order.end(), attribute) != order.end();
    };
    while (true) {
        const QuestionKind& kind = random.pick(kQuestionKinds);
        if (!kind.count && !(told(kind.wanted) && told(kind.given))) continue;
        const auto asked = ask(scene, kind, random);
        return asked ? std::optional(asked->question) : std::nullopt;
    }
}

}  // namespace

std::string recall_document(int words, WorldRandom& random) {
    return random.chance(.5) ? repeated_string(words, random) : key_value_list(words, random);
}

std::string list_document(int words, WorldRandom& random) {
    constexpr std::array<std::string_view, 6> kSeparators = {"->",        "->", ": this is a",
                                                             "is called", "",   ""};
    const ListRule rule(random);
    const std::string separator(random.pick(kSeparators));
    const std::string end = random.chance(.5) ? " ;" : " .";
    Document document(words);
    while (!document.full()) {
        const Question pair = rule.next(random);
        if (separator.empty())
            document.add(question_and_answer(open_question(pair)));
        else
            document.add(pair.text + " " + separator + " " + pair.answer + end);
    }
    return document.take();
}

std::vector<Question> list_questions(int count, WorldRandom& random) {
    const ListRule rule(random);
    std::vector<Question> questions;
    for (int index = 0; index < count; ++index)
        questions.push_back(open_question(rule.next(random)));
    return questions;
}

Question told_question(WorldRandom& random) {
    const std::vector<Attribute> order = telling_order(random);
    while (true) {
        const Scene scene = make_scene(random.between(1, 4), random);
        const auto question = ask_told(scene, order, random);
        if (question) return {told_scene(scene, order) + " " + question->text, question->answer};
    }
}

std::string scene_document(int words, WorldRandom& random) {
    const std::vector<Attribute> order = telling_order(random);
    const bool told_in_question = random.chance(.35);
    Document document(words);
    while (!document.full()) {
        if (told_in_question) {
            document.add(question_and_answer(told_question(random)));
            continue;
        }
        const Scene scene = make_scene(random.between(1, 4), random);
        document.add("scene : " + told_scene(scene, order));
        if (order.size() == 4 && random.chance(.3))
            document.add("caption : " + full_caption(scene));
        if (order.size() == 4 && random.chance(.3)) document.add(referring_text(scene, random));
        for (int asked = random.between(2, 5); asked > 0; --asked)
            if (const auto question = ask_told(scene, order, random))
                document.add(question_and_answer(*question));
    }
    return document.take();
}

std::string fact_document(int words, const Facts& facts, WorldRandom& random) {
    Document document(words);
    while (!document.full()) {
        const int fact = random.below(facts.size());
        if (random.chance(.5))
            document.add(facts.statement(fact));
        else
            document.add(question_and_answer({facts.question(fact), facts.answer(fact)}));
    }
    return document.take();
}

}  // namespace vila::data
