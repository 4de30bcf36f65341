#pragma once

// The texts of the miniature world: captions, careless alt-texts, referring texts, questions with
// their answers, and the text-only documents of the base language model.
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

// Describes every object: "a small red circle top left and a large blue square bottom right ."
std::string full_caption(const Scene& scene);
// Describes one object: "small red circle top left".
std::string noun_phrase(const Object& object);
// Imitates a web page's alt-text: some attributes of one or two objects and junk words, in any
// order.
std::string alt_text(const Scene& scene, WorldRandom& random);
// Returns a sentence about every object, in random order. Each names its object by one or two
// attributes and then states the others: "the circle is red and small , top left ."
std::string referring_text(const Scene& scene, WorldRandom& random);

struct Question {
    std::string text;
    std::string answer;
};

// A kind of question: asks for `wanted` of the one object that has `given`, or counts objects.
struct QuestionKind {
    bool count = false;
    Attribute wanted = Attribute::Color;
    Attribute given = Attribute::Shape;
};
// Every kind of question in visual instructions and texts.
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
    std::optional<Object> about;  // none for counting
};
// Returns a question of this kind about an object that the given attribute identifies; none if
// there is no such object.
std::optional<AskedQuestion> ask(const Scene& scene, const QuestionKind& kind, WorldRandom& random);
// Returns a question of a random kind. Counting is always possible.
Question ask_anything(const Scene& scene, WorldRandom& random);

// The question about a single object if only examples show which attribute or label is meant.
inline constexpr std::string_view kOpenQuestion = "what is it ?";

// Returns "question : ... answer : ... ."
std::string question_and_answer(const Question& question);

// ---- Documents of the base corpus, each of at most `words` words ----

// Repeats a random string of words, or random pairs of keys and values.
std::string recall_document(int words, WorldRandom& random);
// Lists "ITEM SEPARATOR LABEL END" under a hidden rule: an attribute determines the label, or is
// the label.
std::string list_document(int words, WorldRandom& random);
// Describes scenes in words, each followed by questions about it.
std::string scene_document(int words, WorldRandom& random);
// Returns a question that first describes its scene:
// "red circle top left , ... . what color is ... ?"
Question told_question(WorldRandom& random);
// Returns items and labels of one list as questions and answers. Every question is kOpenQuestion.
std::vector<Question> list_questions(int count, WorldRandom& random);
// States and asks facts about creatures.
std::string fact_document(int words, const Facts& facts, WorldRandom& random);

}  // namespace vila::data
