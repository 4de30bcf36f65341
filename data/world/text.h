#pragma once

// Everything the world says about its scenes: captions, careless alt-texts, referring texts,
// questions with their answers, and the text-only documents of the base language model.
//
// All text is lower case with spaces around punctuation, so that a byte-level BPE tokenizer makes
// most words one token.

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/world/random.h"
#include "data/world/scene.h"
#include "data/world/words.h"

namespace vila::data {

// "a small red circle top left and a large blue square bottom right ."
std::string full_caption(const Scene& scene);
// "small red circle top left"
std::string noun_phrase(const Object& object);
// What a web page says: some attributes of one or two objects and junk words, in any order.
std::string alt_text(const Scene& scene, WorldRandom& random);
// A sentence about every object, in random order. Each names its object by one or two attributes
// and then tells the others: "the circle is red and small , top left ."
std::string referring_text(const Scene& scene, WorldRandom& random);

struct Question {
    std::string text;
    std::string answer;
};

// Asks for `wanted` of the one object that has `given`; or counts.
struct QuestionKind {
    bool count = false;
    Attribute wanted = Attribute::Color;
    Attribute given = Attribute::Shape;
};
// Every kind the visual instructions and the texts ask.
inline constexpr std::array<QuestionKind, 9> kQuestionKinds = {{
    {false, Attribute::Color, Attribute::Shape},
    {false, Attribute::Shape, Attribute::Color},
    {true, Attribute::Color, Attribute::Shape},
    {false, Attribute::Position, Attribute::Color},
    {false, Attribute::Size, Attribute::Shape},
    {false, Attribute::Position, Attribute::Shape},
    {false, Attribute::Size, Attribute::Color},
    {false, Attribute::Color, Attribute::Position},
    {false, Attribute::Shape, Attribute::Position},
}};

struct AskedQuestion {
    Question question;
    std::optional<Object> about;  // none when counting
};
// A question of this kind about an object the given attribute singles out; none if there is none.
std::optional<AskedQuestion> ask(const Scene& scene, const QuestionKind& kind, WorldRandom& random);
// A question of a random kind; counting can always be asked.
Question ask_anything(const Scene& scene, WorldRandom& random);

// Asked of a single object when only examples tell which attribute is meant, or which label.
inline constexpr std::string_view kOpenQuestion = "what is it ?";

// "question : ... answer : ... ."
std::string question_and_answer(const Question& question);

// ---- Documents of the base corpus, each of at most about `words` words -------------------------

// Repeated random word strings, or pairs of a key and its value that come back.
std::string recall_document(int words, WorldRandom& random);
// "ITEM SEPARATOR LABEL END" under a hidden rule: an attribute decides the label, or is the label.
std::string list_document(int words, WorldRandom& random);
// A scene told in words, then questions about it.
std::string scene_document(int words, WorldRandom& random);
// A question that tells its scene in words first: "red circle top left , ... . what color is ... ?"
Question told_question(WorldRandom& random);
// Items and labels of one list as questions and answers, which all ask kOpenQuestion.
std::vector<Question> list_questions(int count, WorldRandom& random);
// Statements and questions about creatures.
std::string fact_document(int words, const Facts& facts, WorldRandom& random);

}  // namespace vila::data
