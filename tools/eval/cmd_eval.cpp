// vila eval TASK: scores a model, or a file of predictions, on held-out questions.

#include <cstdio>
#include <map>

#include "tensor/file.h"
#include "tools/base/json_lines.h"
#include "tools/commands.h"
#include "tools/eval/eval_task.h"

namespace vila::tools {

namespace {

using nlohmann::json;

// Predictions by question id, put in the order of the items.
std::vector<std::string> read_predictions(const std::filesystem::path& path,
                                          const std::vector<EvalItem>& items) {
    std::map<std::string, std::string> by_id;
    for_each_json_line(path, [&](const json& object, const std::string&) {
        const json& id = object.at("question_id");
        by_id[id.is_string() ? id.get<std::string>() : id.dump()] =
            object.at("text").get<std::string>();
    });
    std::vector<std::string> predictions;
    for (const EvalItem& item : items) {
        const auto found = by_id.find(item.question_id);
        VILA_CHECK(found != by_id.end(), path.string(), ": no prediction for question_id ",
                   item.question_id);
        predictions.push_back(found->second);
    }
    return predictions;
}

json to_json(const EvalResult& result, const std::string& task, int64_t shots) {
    json predictions = json::array();
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

}  // namespace

int cmd_eval(Args& args) {
    std::string task;
    std::filesystem::path model_path, data, images, output, predictions, annotations;
    bool blind = false, as_json = false;
    EvalOptions options;
    CommonOptions common;
    args.positional("TASK", task, "exact, choice, vqa, caption or text-choice");
    args.option("--model", model_path, "model directory");
    args.option("--data", data, "questions, one JSON object a line");
    args.option("--images", images, "folder of the images (default: beside the questions)");
    args.option("--shots", options.shots, "demonstrations in front of each question")
        ->check(CLI::NonNegativeNumber);
    args.option("--limit", options.limit, "only the first N questions; 0: all")
        ->check(CLI::NonNegativeNumber);
    args.option("--batch", options.batch, "questions answered together")
        ->check(CLI::PositiveNumber);
    args.option("--max-tokens", options.max_tokens, "longest generated answer")
        ->check(CLI::PositiveNumber);
    args.flag("--blind", blind, "replace what the vision tower sees by zeros");
    args.option("--output", output, "write score and predictions to this JSON file");
    args.flag("--json", as_json, "print the result as JSON");
    args.option("--predictions", predictions,
                "score these answers ({\"question_id\", \"text\"} a line) instead of a model's");
    args.option("--annotations", annotations, "the questions that --predictions answers");
    common.declare(args);
    args.footer(
        "A question: {\"question_id\", \"image\", \"text\", \"answer\", \"choices\"?, \"shots\"?: "
        "[{\"image\", \"text\", \"answer\"}]}");
    args.parse();

    const bool scores_file = !predictions.empty();
    if (scores_file) data = annotations;
    if (data.empty() || scores_file != model_path.empty())
        throw UsageError(
            "give either --model and --data, or --predictions and --annotations, not both");
    if (images.empty()) images = data.parent_path();
    const auto items = load_eval_items(data, images, options);
    EvalResult result;
    if (scores_file) {
        result = score_predictions(task, items, read_predictions(predictions, items));
    } else {
        LoadedModel loaded(model_path, common);
        loaded.blind = blind;
        result = run_eval(task, loaded, items, options);
    }
    const json document = to_json(result, task, options.shots);
    if (!output.empty()) write_file_atomic(output, document.dump(1) + "\n");
    if (as_json) {
        std::printf("%s\n", document.dump().c_str());
    } else {
        std::printf("%s, %lld-shot: %s %.4f over %zu questions\n", task.c_str(),
                    static_cast<long long>(options.shots), result.metric.c_str(), result.score,
                    result.predictions.size());
    }
    return 0;
}

}  // namespace vila::tools
