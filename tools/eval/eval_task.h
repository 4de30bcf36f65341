#pragma once

// Evaluation on held-out questions: items from a JSON-lines file, answered 0-shot or after K
// demonstrations, scored by one of the built-in tasks.
//
// An item: {"question_id", "image"?, "text", "answer" (one or a list), "choices"?, "shots"?} where
// shots is a list of {"image"?, "text"?, "answer"}; a shot without text asks the item's own.
// "image" may be a list; paths are relative to the images folder.

#include <filesystem>
#include <string>
#include <vector>

#include "tools/run/loaded_model.h"

namespace vila::tools {

struct EvalTurn {
    std::vector<std::string> images;
    std::string text;
    std::string answer;
};

struct EvalItem {
    std::string question_id;
    EvalTurn question;                 // its answer is answers.front()
    std::vector<std::string> answers;  // any of them is right
    std::vector<std::string> choices;
    std::vector<EvalTurn> shots;  // demonstrations, at most as many as were asked for
};

struct EvalOptions {
    int64_t shots = 0;        // demonstrations in front of each question
    int64_t limit = 0;        // only the first questions; 0: all
    int64_t batch = 32;       // questions answered together
    int64_t max_tokens = 32;  // of a generated answer
};

// Throws when the file is empty, a field is missing, or an item has fewer than options.shots shots.
std::vector<EvalItem> load_eval_items(const std::filesystem::path& data,
                                      const std::filesystem::path& images,
                                      const EvalOptions& options);

struct EvalPrediction {
    std::string question_id;
    std::string text;
    double score = 0.0;
};

struct EvalResult {
    std::string metric;  // what `score` is: "accuracy", "CIDEr-D", ...
    double score = 0.0;  // mean over the questions
    std::vector<EvalPrediction> predictions;
};

// The built-in tasks:
//   exact        generated answer equals an answer after normalize_exact; accuracy
//   vqa          generated answer, VQA accuracy
//   caption      generated answer, CIDEr-D
//   choice       the choice of highest likelihood is an answer; accuracy
//   text-choice  the same for items without images
std::vector<std::string> eval_task_names();
EvalResult run_eval(const std::string& task, const LoadedModel& loaded,
                    const std::vector<EvalItem>& items, const EvalOptions& options);

// Scores given predictions (in the order of items) by a generating task.
EvalResult score_predictions(const std::string& task, const std::vector<EvalItem>& items,
                             const std::vector<std::string>& predictions);

}  // namespace vila::tools
