#include "data/world/text.h"

#include <algorithm>
#include <array>

#include "tensor/check.h"

namespace vila::data {

namespace {

std::string join(const std::vector<std::string>& parts, const std::string& separator) {
    std::string joined;
    for (size_t index = 0; index < parts.size(); ++index)
        joined += (index > 0 ? separator : "") + parts[index];
    return joined;
}

struct Words {
    std::string color, shape, size, position;

    explicit Words(const Object& object)
        : color(word_of(object, Attribute::Color)),
          shape(word_of(object, Attribute::Shape)),
          size(word_of(object, Attribute::Size)),
          position(word_of(object, Attribute::Position)) {}
};

// Names the object by its shape, its color or its place, then states the other attributes.
std::string referring_sentence(const Object& object, WorldRandom& random) {
    const Words w(object);
    switch (random.below(7)) {
        case 0:
            return "the " + w.shape + " is " + w.color + " and " + w.size + " , " + w.position;
        case 1:
            return "the " + w.shape + " is " + w.position + " , " + w.size + " and " + w.color;
        case 2:
            return "the " + w.shape + " is " + w.size + " and " + w.color + " , " + w.position;
        case 3:
            return "the " + w.color + " object is a " + w.size + " " + w.shape + " , " + w.position;
        case 4:
            return "the " + w.color + " object is " + w.position + " , a " + w.size + " " + w.shape;
        case 5:
            return "the " + w.color + " object is " + w.size + " , a " + w.shape + " " + w.position;
        default:
            return w.position + " is a " + w.color + " " + w.shape + " , " + w.size;
    }
}

std::string question_text(const QuestionKind& kind, const Object& object) {
    const std::string given = word_of(object, kind.given);
    std::string subject;
    switch (kind.given) {
        case Attribute::Shape:
            subject = "the " + given;
            break;
        case Attribute::Color:
            subject = "the " + given + " object";
            break;
        case Attribute::Size:
            subject = "the " + given + " object";
            break;
        case Attribute::Position:
            subject = "the object " + given;
            break;
    }
    switch (kind.wanted) {
        case Attribute::Color:
            return "what color is " + subject + " ?";
        case Attribute::Shape:
            return "what shape is " + subject + " ?";
        case Attribute::Size:
            return "what size is " + subject + " ?";
        case Attribute::Position:
            return "where is " + subject + " ?";
    }
    VILA_ASSERT(false);
}

}  // namespace

std::string noun_phrase(const Object& object) {
    const Words w(object);
    return w.size + " " + w.color + " " + w.shape + " " + w.position;
}

std::string full_caption(const Scene& scene) {
    std::vector<std::string> phrases;
    for (const Object& object : scene.objects) phrases.push_back("a " + noun_phrase(object));
    return join(phrases, " and ") + " .";
}

std::string alt_text(const Scene& scene, WorldRandom& random) {
    const int mentioned = std::min(scene.count(), random.between(1, 2));
    std::vector<std::string> words;
    for (const int index : random.sample(mentioned, scene.count())) {
        const Object& object = scene.objects[static_cast<size_t>(index)];
        const std::array<Attribute, 4> attributes = {Attribute::Shape, Attribute::Color,
                                                     Attribute::Size, Attribute::Position};
        for (const int attribute : random.sample(random.between(1, 3), 4))
            words.push_back(word_of(object, attributes[static_cast<size_t>(attribute)]));
    }
    for (int junk = random.below(4); junk > 0; --junk) words.emplace_back(random.pick(kJunk));
    random.shuffle(words);
    return join(words, " ");
}

std::string referring_text(const Scene& scene, WorldRandom& random) {
    std::vector<std::string> sentences;
    for (const int index : random.sample(scene.count(), scene.count()))
        sentences.push_back(referring_sentence(scene.objects[static_cast<size_t>(index)], random) +
                            " .");
    return join(sentences, " ");
}

std::optional<AskedQuestion> ask(const Scene& scene, const QuestionKind& kind,
                                 WorldRandom& random) {
    if (kind.count) {
        const auto count = static_cast<size_t>(scene.count() - 1);
        return AskedQuestion{{"how many objects are there ?", std::string(kCounts[count])},
                             std::nullopt};
    }
    const std::vector<Object> candidates = unique_objects(scene, kind.given);
    if (candidates.empty()) return std::nullopt;
    const Object object = random.pick(candidates);
    return AskedQuestion{{question_text(kind, object), word_of(object, kind.wanted)}, object};
}

Question ask_anything(const Scene& scene, WorldRandom& random) {
    while (true)
        if (const auto asked = ask(scene, random.pick(kQuestionKinds), random))
            return asked->question;
}

std::string question_and_answer(const Question& question) {
    return "question : " + question.text + " answer : " + question.answer + " .";
}

}  // namespace vila::data
