#include "tools/eval/eval_task.h"

#include <algorithm>
#include <numeric>

#include "data/text/trim.h"
#include "tensor/nearest_name.h"
#include "tools/base/json_lines.h"
#include "tools/eval/metrics.h"
#include "tools/run/score.h"

namespace vila::tools {

namespace {

using nlohmann::json;
namespace fs = std::filesystem;

EvalTurn turn_from_json(const json& object, const fs::path& images, const std::string& text) {
    EvalTurn turn;
    for (const std::string& image : string_or_list(object, "image"))
        turn.images.push_back((images / image).string());
    turn.text = object.value("text", text);
    const auto answers = string_or_list(object, "answer");
    turn.answer = answers.empty() ? "" : answers.front();
    return turn;
}

EvalItem item_from_json(const json& object, const std::string& where, const fs::path& images,
                        const EvalOptions& options) {
    EvalItem item;
    VILA_CHECK(object.contains("text") && object.contains("answer"), where,
               ": an evaluation item needs \"text\" and \"answer\"");
    const json& id = object.value("question_id", json(where));
    item.question_id = id.is_string() ? id.get<std::string>() : id.dump();
    item.question = turn_from_json(object, images, "");
    item.answers = string_or_list(object, "answer");
    VILA_CHECK(!item.answers.empty(), where, ": \"answer\" is an empty list");
    item.choices = string_or_list(object, "choices");
    const json shots = object.value("shots", json::array());
    VILA_CHECK(static_cast<int64_t>(shots.size()) >= options.shots, where, ": has ", shots.size(),
               " shots, ", options.shots, " are asked for; lower --shots");
    for (int64_t i = 0; i < options.shots; ++i)
        item.shots.push_back(
            turn_from_json(shots[static_cast<size_t>(i)], images, item.question.text));
    return item;
}

// Placeholders in front of the text unless the text has its own.
std::string with_placeholders(const EvalTurn& turn) {
    if (data::count_placeholders(turn.text) > 0) return turn.text;
    return data::prepend_placeholders(static_cast<int64_t>(turn.images.size()), turn.text);
}

struct Conversation {
    std::vector<data::Message> messages;
    std::vector<std::string> images;
};

Conversation conversation_of(const EvalItem& item) {
    Conversation conversation;
    const auto ask = [&](const EvalTurn& turn) {
        conversation.messages.push_back({data::Role::User, with_placeholders(turn)});
        conversation.images.insert(conversation.images.end(), turn.images.begin(),
                                   turn.images.end());
    };
    for (const EvalTurn& shot : item.shots) {
        ask(shot);
        conversation.messages.push_back({data::Role::Assistant, shot.answer});
    }
    ask(item.question);
    return conversation;
}

std::vector<std::string> generate_answers(const LoadedModel& loaded,
                                          const std::vector<EvalItem>& items,
                                          const EvalOptions& options) {
    models::GenerateOptions generation;
    generation.max_tokens = options.max_tokens;
    generation.stop_ids = loaded.stop_ids();
    std::vector<std::string> answers;
    for (size_t begin = 0; begin < items.size(); begin += static_cast<size_t>(options.batch)) {
        const size_t end = std::min(items.size(), begin + static_cast<size_t>(options.batch));
        std::vector<Prompt> prompts;
        std::vector<models::Sequence> sequences;
        for (size_t i = begin; i < end; ++i) {
            const Conversation conversation = conversation_of(items[i]);
            prompts.push_back(loaded.chat_prompt(conversation.messages, conversation.images));
            loaded.check_fits(prompts.back(), 1);
        }
        for (const Prompt& prompt : prompts) sequences.push_back(prompt.view());
        for (const auto& ids : models::generate_many(loaded.model(), sequences, generation))
            answers.emplace_back(data::trimmed(loaded.text_of(ids), " \n"));
    }
    return answers;
}

// The most likely choice of each item.
std::vector<std::string> choose_answers(const LoadedModel& loaded,
                                        const std::vector<EvalItem>& items) {
    std::vector<std::string> answers;
    for (const EvalItem& item : items) {
        VILA_CHECK(!item.choices.empty(), "question ", item.question_id,
                   ": has no \"choices\" to choose from; use the task exact");
        const Conversation conversation = conversation_of(item);
        std::vector<Prompt> prompts;
        for (const std::string& choice : item.choices)
            prompts.push_back(
                loaded.answered_prompt(conversation.messages, conversation.images, choice));
        const auto logprobs = target_logprobs(loaded, prompts);
        const auto best = std::max_element(logprobs.begin(), logprobs.end());
        answers.push_back(item.choices[static_cast<size_t>(best - logprobs.begin())]);
    }
    return answers;
}

double exact_score(const std::string& answer, const std::vector<std::string>& answers) {
    const std::string given = normalize_exact(answer);
    return std::any_of(answers.begin(), answers.end(),
                       [&](const auto& right) { return normalize_exact(right) == given; })
               ? 1.0
               : 0.0;
}

bool is_choice_task(const std::string& task) {
    return task == "choice" || task == "text-choice";
}

void check_task(const std::string& task) {
    const auto names = eval_task_names();
    if (std::find(names.begin(), names.end(), task) == names.end())
        throw UsageError(
            str("unknown task \"", task, "\"; did you mean ", nearest_name(task, names), "?"));
}

}  // namespace

std::vector<std::string> eval_task_names() {
    return {"exact", "choice", "vqa", "caption", "text-choice"};
}

std::vector<EvalItem> load_eval_items(const fs::path& data, const fs::path& images,
                                      const EvalOptions& options) {
    std::vector<EvalItem> items;
    for_each_json_line(data, [&](const json& object, const std::string& where) {
        if (options.limit > 0 && static_cast<int64_t>(items.size()) >= options.limit) return;
        items.push_back(item_from_json(object, where, images, options));
    });
    VILA_CHECK(!items.empty(), data.string(), ": holds no evaluation items");
    return items;
}

EvalResult score_predictions(const std::string& task, const std::vector<EvalItem>& items,
                             const std::vector<std::string>& predictions) {
    check_task(task);
    VILA_CHECK_EQ(predictions.size(), items.size(), "predictions");
    EvalResult result;
    result.metric = task == "vqa" ? "VQA accuracy" : task == "caption" ? "CIDEr-D" : "accuracy";
    std::vector<double> scores;
    if (task == "caption") {
        std::vector<std::vector<std::string>> references;
        for (const EvalItem& item : items) references.push_back(item.answers);
        scores = cider_d(predictions, references);
    } else {
        for (size_t i = 0; i < items.size(); ++i)
            scores.push_back(task == "vqa" ? vqa_accuracy(predictions[i], items[i].answers)
                                           : exact_score(predictions[i], items[i].answers));
    }
    for (size_t i = 0; i < items.size(); ++i)
        result.predictions.push_back({items[i].question_id, predictions[i], scores[i]});
    result.score =
        std::accumulate(scores.begin(), scores.end(), 0.0) / static_cast<double>(scores.size());
    return result;
}

EvalResult run_eval(const std::string& task, const LoadedModel& loaded,
                    const std::vector<EvalItem>& items, const EvalOptions& options) {
    check_task(task);
    return score_predictions(task, items,
                             is_choice_task(task) ? choose_answers(loaded, items)
                                                  : generate_answers(loaded, items, options));
}

}  // namespace vila::tools
