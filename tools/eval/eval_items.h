#pragma once

// Evaluation questions and predictions, read from JSON-lines files.
//
// A question: {"question_id", "image"?, "text", "answer" (one or a list), "choices"?, "shots"?},
// where "shots" is a list of demonstrations {"image"?, "text"?, "answer"}. A shot without text
// repeats the text of its question. "image" may be a list; paths are relative to the images folder.

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
    std::string question_id;
    EvalTurn question;                 // its answer is answers.front()
    std::vector<std::string> answers;  // each of them is right
    std::vector<std::string> choices;
    std::vector<EvalTurn> shots;  // demonstrations, exactly as many as requested
};

struct EvalItemOptions {
    int64_t shots = 0;  // demonstrations before each question
    int64_t limit = 0;  // read only the first questions; 0 reads all
};

// Reads the questions of `data`. Throws if the file holds none, if a field is missing, or if a
// question has fewer than options.shots shots.
std::vector<EvalItem> load_eval_items(const std::filesystem::path& data,
                                      const std::filesystem::path& images,
                                      const EvalItemOptions& options);

// Reads predictions {"question_id", "text"} and returns their texts in the order of the items.
// Throws if an item has none.
std::vector<std::string> load_predictions(const std::filesystem::path& path,
                                          const std::vector<EvalItem>& items);

}  // namespace vila::tools
