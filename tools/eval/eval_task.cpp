#include "tools/eval/eval_task.h"

#include <algorithm>
#include <cstdio>
#include <deque>
#include <numeric>

#include "data/text/trim.h"
#include "models/generate.h"
#include "tensor/name_list.h"
#include "tensor/nearest_name.h"
#include "tools/base/json_lines.h"
#include "tools/base/progress.h"
#include "tools/eval/metrics.h"
#include "tools/run/answer_stream.h"
#include "tools/run/score.h"

namespace vila::tools {

namespace {

// The text of a turn, with a placeholder for each image: in front, unless the text has its own.
std::string with_placeholders(const EvalTurn& turn) {
    if (data::count_placeholders(turn.text) > 0) return turn.text;
    return data::prepend_placeholders(static_cast<int64_t>(turn.images.size()), turn.text);
}

struct Conversation {
    std::vector<data::Message> messages;
    std::vector<std::string> images;
};

// Returns the demonstrations of an item with their answers, followed by its question.
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

// Generates answers by greedy decoding, options.batch of them at a time.
std::vector<std::string> generate_answers(const PromptBuilder& builder,
                                          const std::vector<EvalItem>& items,
                                          const EvalOptions& options) {
    models::GenerateOptions generation;
    generation.max_tokens = options.max_tokens;
    generation.stop_ids = builder.stop_ids();
    const std::vector<std::string> stops = builder.stop_texts();
    std::vector<std::string> answers;
    Progress progress("eval", static_cast<int64_t>(items.size()));
    for (size_t begin = 0; begin < items.size(); begin += static_cast<size_t>(options.batch)) {
        const size_t end = std::min(items.size(), begin + static_cast<size_t>(options.batch));
        std::vector<Prompt> prompts;
        std::vector<models::Sequence> sequences;
        for (size_t i = begin; i < end; ++i) {
            const Conversation conversation = conversation_of(items[i]);
            at_line(items[i].where, [&] {
                prompts.push_back(builder.chat_prompt(
                    conversation.messages, image_files(conversation.images), options.no_image));
                builder.check_fits(prompts.back(), 1);  // the longest answer need not fit
            });
        }
        // Each ends its answer at the token that completes a stop.
        std::deque<AnswerStream> streams;
        for (const Prompt& prompt : prompts) {
            sequences.push_back(prompt.view());
            streams.emplace_back(builder.tokenizer(), stops, [](const std::string&) {});
        }
        for (const auto& ids :
             models::generate_many(builder.model(), sequences, generation,
                                   [&](size_t i, int32_t id) { return streams[i].push(id); }))
            answers.emplace_back(data::trimmed(before_stops(builder.text_of(ids), stops), " \n"));
        progress.count(static_cast<int64_t>(answers.size()));
    }
    return answers;
}

// Returns 1 if the answer equals a reference after normalize_exact(), otherwise 0.
double exact_match(const std::string& answer, const std::vector<std::string>& references) {
    const std::string given = normalize_exact(answer);
    return std::any_of(references.begin(), references.end(),
                       [&](const auto& reference) { return normalize_exact(reference) == given; })
               ? 1.0
               : 0.0;
}

// Throws unless the item has choices, and among them an answer.
void check_choices(const EvalItem& item) {
    VILA_CHECK(!item.choices.empty(), item.where, ": no \"choices\"; use the task exact");
    const bool has_answer = std::any_of(
        item.choices.begin(), item.choices.end(),
        [&](const std::string& choice) { return exact_match(choice, item.answers) > 0; });
    VILA_CHECK(has_answer, item.where, ": none of the \"choices\" is the \"answer\" ",
               shown(Json(item.answers.front())));
}

// Returns the choice of each item that has the highest likelihood, a product over its tokens.
std::vector<std::string> choose_answers(const PromptBuilder& builder,
                                        const std::vector<EvalItem>& items,
                                        const EvalOptions& options) {
    std::vector<std::string> answers;
    Progress progress("eval", static_cast<int64_t>(items.size()));
    for (const EvalItem& item : items) {
        check_choices(item);
        const Conversation conversation = conversation_of(item);
        const std::vector<PromptImage> images = image_files(conversation.images);
        std::vector<Prompt> prompts;
        at_line(item.where, [&] {
            for (const std::string& choice : item.choices)
                prompts.push_back(builder.answered_prompt(conversation.messages, images, choice,
                                                          options.no_image));
        });
        const auto logprobs = target_logprobs(builder, prompts);
        const auto best = std::max_element(logprobs.begin(), logprobs.end());
        answers.push_back(item.choices[static_cast<size_t>(best - logprobs.begin())]);
        progress.count(static_cast<int64_t>(answers.size()));
    }
    return answers;
}

using Scores = std::vector<double>;
using References = std::vector<std::vector<std::string>>;

// Scores each answer by a metric that looks at one answer only. cider_d() needs the whole set.
template <double (*Metric)(const std::string& answer, const std::vector<std::string>& references)>
Scores each_answer(const std::vector<std::string>& answers, const References& references) {
    Scores scores;
    for (size_t i = 0; i < answers.size(); ++i) scores.push_back(Metric(answers[i], references[i]));
    return scores;
}

// All tasks. Dispatch, `vila eval --help` and the check of TASK use this table.
constexpr EvalTask kTasks[] = {
    {.name = "exact",
     .help =
         "generate an answer that equals a reference, ignoring case and punctuation at the ends",
     .metric = "accuracy",
     .answer = generate_answers,
     .score = each_answer<exact_match>,
     .max_tokens = 32},
    {.name = "vqa",
     .help = "generate a short answer that agrees with the answers of people",
     .metric = "VQA accuracy",
     .answer = generate_answers,
     .score = each_answer<vqa_accuracy>,
     .max_tokens = 32},
    {.name = "caption",
     .help = "generate a caption that resembles the reference captions",
     .metric = "CIDEr-D",
     .answer = generate_answers,
     .score = cider_d,
     .max_tokens = 32},
    {.name = "choice",
     .help = "pick from the given choices, by the highest likelihood",
     .metric = "accuracy",
     .answer = choose_answers,
     .score = each_answer<exact_match>,
     .max_tokens = 0},
    {.name = "text-choice",
     .help = "like choice, for questions without images",
     .metric = "accuracy",
     .answer = choose_answers,
     .score = each_answer<exact_match>,
     .max_tokens = 0},
};

}  // namespace

std::span<const EvalTask> eval_tasks() {
    return kTasks;
}

const EvalTask& find_eval_task(const std::string& name) {
    std::vector<std::string> names;
    for (const EvalTask& task : kTasks) {
        if (name == task.name) return task;
        names.push_back(task.name);
    }
    throw UsageError(str("unknown task \"", name, "\": expected ", name_list(names),
                         "; did you mean ", nearest_name(name, names), "?"));
}

std::string eval_task_help() {
    std::string text = "Tasks:";
    for (const EvalTask& task : kTasks) {
        char name[32];
        std::snprintf(name, sizeof name, "\n  %-12s ", task.name);
        text += str(name, task.help, " (score: ", task.metric);
        if (task.max_tokens > 0) text += str("; at most ", task.max_tokens, " tokens");
        text += ")";
    }
    return text;
}

EvalResult score_predictions(const EvalTask& task, const std::vector<EvalItem>& items,
                             const std::vector<std::string>& predictions) {
    VILA_CHECK_EQ(predictions.size(), items.size(), "predictions");
    References references;
    for (const EvalItem& item : items) references.push_back(item.answers);
    const Scores scores = task.score(predictions, references);
    EvalResult result;
    result.metric = task.metric;
    for (size_t i = 0; i < items.size(); ++i)
        result.predictions.push_back({items[i].question_id, predictions[i], scores[i]});
    result.score =
        std::accumulate(scores.begin(), scores.end(), 0.0) / static_cast<double>(scores.size());
    return result;
}

EvalResult run_eval(const EvalTask& task, const PromptBuilder& builder,
                    const std::vector<EvalItem>& items, const EvalOptions& options) {
    EvalOptions settings = options;
    if (settings.max_tokens == 0) settings.max_tokens = task.max_tokens;
    return score_predictions(task, items, task.answer(builder, items, settings));
}

}  // namespace vila::tools
