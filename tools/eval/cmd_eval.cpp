// vila eval TASK: scores the answers of a model, or of a file, to held-out questions.

#include <cstdio>
#include <optional>

#include "tensor/json.h"
#include "tools/base/option_checks.h"
#include "tools/base/output.h"
#include "tools/base/output_guard.h"
#include "tools/commands.h"
#include "tools/eval/eval_task.h"
#include "tools/run/template_options.h"

namespace vila::tools {

namespace {

Json to_json(const EvalResult& result, const std::string& task, int64_t shots) {
    Json predictions = Json::array();
    for (const EvalPrediction& prediction : result.predictions)
        predictions.push_back({{"question_id", prediction.question_id},
                               {"text", prediction.text},
                               {"score", prediction.score}});
    return {{"task", task},
            {"shots", shots},
            {"metric", result.metric},
            {"score", result.score},
            {"count", result.predictions.size()},
            {"predictions", predictions}};
}

struct EvalCommand {
    std::string task;
    std::filesystem::path model, data, images, output, predictions, annotations;
    bool as_json = false;
    EvalItemOptions items;
    EvalOptions eval;
    TemplateOptions chat;
    CommonOptions common;
};

EvalCommand parse_command(Args& args) {
    EvalCommand command;
    args.positional("TASK", command.task, "one of the tasks listed below");
    args.option("--model", command.model, "model directory");
    args.option("--data", command.data,
                "file of questions, in the format below; - is standard input");
    args.option("--images", command.images,
                "folder of the images (default: the folder of the questions)");
    args.option("--shots", command.items.shots, "number of demonstrations before each question")
        .non_negative();
    args.option("--limit", command.items.limit, "use only the first N questions; 0 uses all")
        .non_negative();
    args.option("--batch", command.eval.batch, "number of questions to answer at once").positive();
    std::optional<int64_t> max_tokens;
    args.option("--max-tokens", max_tokens,
                "longest generated answer, in tokens (default: as listed below)")
        .positive();
    args.flag("--blind", command.eval.no_image,
              "replace the image features by zeros, to measure what the text alone tells");
    args.option("--output", command.output,
                "write score and predictions to this JSON file; - is standard output");
    args.flag("--json", command.as_json, "print score and predictions as JSON");
    args.option("--predictions", command.predictions,
                "file of predictions to score instead of a model's, in the format below");
    args.option("--annotations", command.annotations,
                "file of the questions that --predictions answers");
    command.chat.declare(args);
    command.common.declare(args);
    args.footer(
        eval_task_help() +
        "\n\nFormats, one JSON object per line; ? marks optional fields:\n"
        "  question    {\"question_id\"?, \"image\"?, \"text\", \"answer\", \"choices\"?, "
        "\"shots\"?: [{\"image\"?, \"text\"?, \"answer\"}]}\n"
        "  prediction  {\"question_id\", \"text\"}\n"
        "\"image\" and \"answer\" are one string or a list; any answer of a list is correct; "
        "vqa counts how many of them agree. "
        "\"shots\" are demonstrations.");
    args.parse();

    command.eval.max_tokens = max_tokens.value_or(0);
    const bool scores_file = !command.predictions.empty();
    if (scores_file) {
        refuse_options(args, {"--batch", "--max-tokens", "--blind", "--data", "--images"},
                       "with --predictions, which no model makes");
        command.data = command.annotations;
    } else {
        refuse_options(args, {"--annotations"}, "without --predictions");
    }
    if (find_eval_task(command.task).max_tokens == 0)
        refuse_options(args, {"--max-tokens", "--batch"},
                       "on a task that picks from choices instead of generating text");
    if (command.data.empty() || scores_file != command.model.empty())
        throw UsageError(
            "give either --model and --data, or --predictions and --annotations, not both");
    if (scores_file && command.chat.given())
        throw UsageError("--template and --system are for a model: give them with --model");
    refuse_shared_stream({{scores_file ? "--annotations" : "--data", command.data},
                          {"--predictions", command.predictions}});
    if (command.as_json && is_standard_stream(command.output))
        throw UsageError("--output - and --json print the same; give one of them");
    if (command.images.empty()) command.images = command.data.parent_path();
    return command;
}

// Throws if the output is among the files that are read.
void check_output(const EvalCommand& command, const std::vector<EvalItem>& items) {
    const bool prints = command.output.empty();
    const OutputGuard output(prints ? "standard output" : "--output",
                             prints ? "-" : command.output);
    output.check_input(command.predictions.empty() ? "--data" : "--annotations", command.data);
    output.check_input("--predictions", command.predictions);
    output.check_input("--model", command.model);
    command.chat.check_not_written(output);
    const auto check_images = [&](const EvalTurn& turn) {
        for (const std::string& image : turn.images) output.check_input("the image", image);
    };
    for (const EvalItem& item : items) {
        check_images(item.question);
        for (const EvalTurn& shot : item.shots) check_images(shot);
    }
    // A folder that also holds the questions may hold results, too.
    if (!lies_inside(command.data, command.images)) output.check_input("--images", command.images);
}

EvalResult evaluate(const EvalCommand& command) {
    const EvalTask& task = find_eval_task(command.task);
    const auto items = load_eval_items(command.data, command.images, command.items);
    check_output(command, items);
    if (!command.predictions.empty())
        return score_predictions(task, items, load_predictions(command.predictions, items));
    LoadedModel loaded(command.model, command.common);
    command.chat.apply(loaded);
    return run_eval(task, loaded.prompts(), items, command.eval);
}

// The score for people, as one line.
std::string summary(const EvalCommand& command, const EvalResult& result) {
    char score[32];
    std::snprintf(score, sizeof score, "%.4f", result.score);
    return str(command.task, ", ", command.items.shots, "-shot: ", result.metric, " ", score,
               " over ", result.predictions.size(), " questions\n");
}

}  // namespace

int cmd_eval(Args& args) {
    const EvalCommand command = parse_command(args);
    ResultFile file(command.output);
    const EvalResult result = evaluate(command);
    const Json document = to_json(result, command.task, command.items.shots);
    file.write(document.dump(1) + "\n");
    file.finish();
    const std::string line = summary(command, result);
    if (command.as_json) {
        print_text(document.dump() + "\n");
    } else if (is_standard_stream(command.output)) {
        std::fputs(line.c_str(), stderr);
    } else {
        print_text(line);
    }
    return 0;
}

}  // namespace vila::tools
