#pragma once

// Evaluation questions and predictions, read from JSON-lines files.
//
// A question: {"question_id"?, "image"?, "text", "answer", "choices"?, "shots"?}, where "shots" is
// a list of demonstrations {"image"?, "text"?, "answer"}; "?" marks optional fields. "image" (or
// "images") and "answer" are a string or a list; image paths are relative to the images folder. A
// question without "question_id" gets its file and line as id ("FILE line N"). A demonstration
// without "text" has the text of its question.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace vila::tools {

struct EvalTurn {
    std::vector<std::string> images;
    std::string text;
    std::string answer;
};

struct EvalItem {
    std::string where;  // file and line, for messages
    std::string question_id;
    EvalTurn question;                 // its answer is answers.front()
    std::vector<std::string> answers;  // each is correct
    std::vector<std::string> choices;
    std::vector<EvalTurn> shots;  // demonstrations, exactly as many as requested
};

struct EvalItemOptions {
    int64_t shots = 0;  // demonstrations before each question
    int64_t limit = 0;  // read only the first questions; 0 reads all
};

// Reads the questions in the file `data`. Throws if it holds none, if a question lacks "text" or
// "answer", or if a question has fewer than options.shots demonstrations.
std::vector<EvalItem> load_eval_items(const std::filesystem::path& data,
                                      const std::filesystem::path& images,
                                      const EvalItemOptions& options);

// Reads predictions {"question_id", "text"} and returns their texts in the order of the items.
// Throws if there is not exactly one prediction for an item, or if two items have the same id.
// Says on stderr how many predictions answer no item.
std::vector<std::string> load_predictions(const std::filesystem::path& path,
                                          const std::vector<EvalItem>& items);

}  // namespace vila::tools
