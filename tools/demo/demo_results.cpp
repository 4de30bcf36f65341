#include "tools/demo/demo_results.h"

#include "tensor/file.h"
#include "tensor/json.h"
#include "tools/demo/demo_tables.h"
#include "tools/eval/eval_task.h"
#include "tools/report/result_table.h"

namespace vila::tools {

namespace {

namespace fs = std::filesystem;
constexpr int64_t kShots = 4;
constexpr int64_t kSamplesPerTask = 3;
struct WorldTask {
    std::string name;
    fs::path file;
    Json baselines;  // the task's entry in world.json, with the scores "chance" and "unbound"
    bool with_images = false;
};

// The held-out tasks listed in world.json.
std::vector<WorldTask> world_tasks(const fs::path& world) {
    const Json description = read_json_file(world / "world.json");
    std::vector<WorldTask> tasks;
    for (const Json& entry : description.at("tasks")) {
        WorldTask task{entry.at("name"), world / entry.at("file").get<std::string>(), entry, false};
        const auto items = load_eval_items(task.file, world / "images", {.limit = 1});
        task.with_images = !items.front().question.images.empty();
        tasks.push_back(std::move(task));
    }
    return tasks;
}

// Scores every held-out task and keeps a few answers of each.
class Measurement {
  public:
    Measurement(const fs::path& directory, const CommonOptions& options)
        : directory_(directory), tasks_(world_tasks(directory / "world")), options_(options) {}

    Json run() {
        measure_model();
        measure_base();
        results_["means"] = demo_means(results_);
        results_["tables"] = demo_tables(results_);
        results_["samples"] = samples_;
        return results_;
    }

  private:
    EvalResult evaluate(const PromptBuilder& builder, const WorldTask& task, int64_t shots,
                        bool no_image = false) const {
        const auto items =
            load_eval_items(task.file, directory_ / "world" / "images", {.shots = shots});
        return run_eval(find_eval_task("exact"), builder, items,
                        {.max_tokens = 24, .no_image = no_image});
    }

    void measure_model() {
        const LoadedModel loaded(directory_ / "model", options_);
        for (const WorldTask& task : tasks_) {
            const EvalResult zero_shot = evaluate(loaded.prompts(), task, 0);
            Json& entry = results_[task.with_images ? "tasks" : "text_tasks"][task.name];
            entry["zero_shot"] = zero_shot.score;
            entry["chance"] = task.baselines.value("chance", Json());
            if (!task.with_images) continue;
            entry["unbound"] = task.baselines.value("unbound", Json());
            entry["four_shot"] = evaluate(loaded.prompts(), task, kShots).score;
            entry["blind"] = evaluate(loaded.prompts(), task, 0, true).score;
            keep_samples(task, zero_shot);
        }
    }

    void measure_base() {
        LoadedModel base(directory_ / "runs" / "lm-2" / "model", options_);
        base.prompts().use_template(data::ChatTemplate::named("qa"));
        for (const WorldTask& task : tasks_)
            if (!task.with_images)
                results_["text_tasks"][task.name]["base"] = evaluate(base.prompts(), task, 0).score;
    }

    void keep_samples(const WorldTask& task, const EvalResult& result) {
        const auto items = load_eval_items(task.file, "world/images", {.limit = kSamplesPerTask});
        for (size_t i = 0; i < items.size(); ++i)
            samples_.push_back({{"task", task.name},
                                {"images", items[i].question.images},
                                {"question", without_placeholder(items[i].question.text)},
                                {"answer", result.predictions[i].text},
                                {"truth", items[i].question.answer},
                                {"correct", result.predictions[i].score == 1.0}});
    }

    static std::string without_placeholder(std::string text) {
        for (const std::string part : {"<image>\n", "<image>"})
            for (size_t at = text.find(part); at != std::string::npos; at = text.find(part))
                text.erase(at, part.size());
        return text;
    }

    fs::path directory_;
    std::vector<WorldTask> tasks_;
    CommonOptions options_;
    Json results_;
    Json samples_ = Json::array();
};

}  // namespace

Json measure_demo(const fs::path& directory, const CommonOptions& options) {
    return Measurement(directory, options).run();
}

std::string demo_summary(const Json& results) {
    std::string text;
    for (const Json& table : results.at("tables"))
        text += "\n" + table_text(table_from_json(table, "-", "results"));
    return text;
}

}  // namespace vila::tools
