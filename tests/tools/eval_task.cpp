// The table of evaluation tasks: names, help, and the score of given predictions.

#include "tools/eval/eval_task.h"

#include <gtest/gtest.h>

#include <set>

namespace vila::tools {
namespace {

EvalItem item(const std::string& id, const std::vector<std::string>& answers) {
    EvalItem item;
    item.question_id = id;
    item.answers = answers;
    return item;
}

TEST(EvalTask, EveryRowIsComplete) {
    std::set<std::string> names;
    const std::string help = eval_task_help();
    for (const EvalTask& task : eval_tasks()) {
        EXPECT_TRUE(names.insert(task.name).second) << task.name;
        EXPECT_EQ(&find_eval_task(task.name), &task);
        EXPECT_NE(help.find(std::string("\n  ") + task.name + " "), std::string::npos);
        EXPECT_NE(help.find(task.help), std::string::npos);
    }
    EXPECT_EQ(names, (std::set<std::string>{"exact", "vqa", "caption", "choice", "text-choice"}));
}

TEST(EvalTask, NamesTheNearestTask) {
    try {
        find_eval_task("vqs");
        FAIL();
    } catch (const UsageError& error) {
        EXPECT_STREQ(error.what(),
                     "unknown task \"vqs\": expected exact, vqa, caption, choice or text-choice; "
                     "did you mean vqa?");
    }
}

TEST(EvalTask, ScoresPredictionsByTheMetricOfTheTask) {
    const std::vector<EvalItem> items = {item("a", {"red", "dark red"}), item("b", {"2"})};
    const std::vector<std::string> predictions = {"Red.", "two"};
    const EvalResult exact = score_predictions(find_eval_task("exact"), items, predictions);
    EXPECT_EQ(exact.metric, "accuracy");
    EXPECT_EQ(exact.score, 0.5);
    EXPECT_EQ(exact.predictions[0].question_id, "a");
    EXPECT_EQ(exact.predictions[0].score, 1.0);
    EXPECT_EQ(exact.predictions[1].score, 0.0);
    // One reference is compared as it is; references that differ are normalized.
    const EvalResult vqa = score_predictions(find_eval_task("vqa"), items, predictions);
    EXPECT_EQ(vqa.metric, "VQA accuracy");
    EXPECT_EQ(vqa.score, 0.5);
    const EvalResult caption = score_predictions(find_eval_task("caption"), items, predictions);
    EXPECT_EQ(caption.metric, "CIDEr-D");
    EXPECT_GT(caption.predictions[0].score, 0.0);
    EXPECT_THROW(score_predictions(find_eval_task("exact"), items, {"red"}), Error);
}

}  // namespace
}  // namespace vila::tools
