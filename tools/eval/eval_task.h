#pragma once

// The tasks of `vila eval`. A task defines how a model answers a question and how its answers are
// scored. The table in eval_task.cpp lists all tasks.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tools/eval/eval_items.h"
#include "tools/run/loaded_model.h"

namespace vila::tools {

struct EvalOptions {
    int64_t batch = 32;      // questions answered at a time, by tasks that generate answers
    int64_t max_tokens = 0;  // longest generated answer; 0 takes the task's default
    bool no_image = false;   // replace image features by zeros
};

struct EvalTask {
    const char* name;
    const char* help;    // what the model has to do, for `vila eval --help`
    const char* metric;  // name of the score
    // Returns the model's answer to each item.
    std::vector<std::string> (*answer)(const PromptBuilder& builder,
                                       const std::vector<EvalItem>& items,
                                       const EvalOptions& options);
    // Returns the score of each answer. `references` holds the correct answers of each item.
    std::vector<double> (*score)(const std::vector<std::string>& answers,
                                 const std::vector<std::vector<std::string>>& references);
    int64_t max_tokens;  // default length of a generated answer; 0 if the task generates none
};

// All tasks, in the order of the help text.
std::span<const EvalTask> eval_tasks();
// Returns the task of that name. If there is none, throws UsageError with the nearest name.
const EvalTask& find_eval_task(const std::string& name);
// One line per task, for `vila eval --help`.
std::string eval_task_help();

struct EvalPrediction {
    std::string question_id;
    std::string text;
    double score = 0.0;
};

struct EvalResult {
    std::string metric;  // EvalTask::metric
    double score = 0.0;  // mean over the questions
    std::vector<EvalPrediction> predictions;
};

// Has the model answer the items, and scores its answers.
EvalResult run_eval(const EvalTask& task, const PromptBuilder& builder,
                    const std::vector<EvalItem>& items, const EvalOptions& options);

// Scores given predictions, one per item, in the order of the items.
EvalResult score_predictions(const EvalTask& task, const std::vector<EvalItem>& items,
                             const std::vector<std::string>& predictions);

}  // namespace vila::tools
