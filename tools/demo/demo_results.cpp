#include "tools/demo/demo_results.h"

#include <algorithm>
#include <cstdio>

#include "tensor/file.h"
#include "tools/eval/eval_task.h"

namespace vila::tools {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr int64_t kShots = 4;
constexpr int64_t kSamplesPerTask = 3;
// "Ordinary" tasks ask in words what is asked; in the property task ("what is it ?") only the
// demonstrations tell.
constexpr const char* kOrdinary[] = {"color", "shape", "count", "position", "size", "caption"};
constexpr const char* kProperty = "property";

struct WorldTask {
    std::string name;
    fs::path file;
    Json levels;  // the task's entry in world.json
    bool with_images = false;
};

// The held-out tasks that world.json lists.
std::vector<WorldTask> world_tasks(const fs::path& world) {
    const Json description = Json::parse(read_file(world / "world.json"));
    std::vector<WorldTask> tasks;
    for (const Json& entry : description.at("tasks")) {
        WorldTask task{entry.at("name"), world / entry.at("file").get<std::string>(), entry, false};
        const auto items = load_eval_items(task.file, world / "images", {.limit = 1});
        task.with_images = !items.front().question.images.empty();
        tasks.push_back(std::move(task));
    }
    return tasks;
}

class Measurement {
  public:
    Measurement(const fs::path& directory, const CommonOptions& options)
        : directory_(directory), tasks_(world_tasks(directory / "world")), options_(options) {}

    Json run() {
        measure_model();
        measure_base();
        results_["means"] = means();
        results_["tables"] = Json::array({image_table(), text_table()});
        results_["samples"] = samples_;
        return results_;
    }

  private:
    EvalResult evaluate(const LoadedModel& loaded, const WorldTask& task, int64_t shots) const {
        const EvalOptions options{.shots = shots, .max_tokens = 24};
        const auto items = load_eval_items(task.file, directory_ / "world" / "images", options);
        return run_eval("exact", loaded, items, options);
    }

    void measure_model() {
        LoadedModel loaded(directory_ / "model", options_);
        for (const WorldTask& task : tasks_) {
            const EvalResult zero_shot = evaluate(loaded, task, 0);
            Json& entry = results_[task.with_images ? "tasks" : "text_tasks"][task.name];
            entry["zero_shot"] = zero_shot.score;
            entry["chance"] = task.levels.value("chance", Json());
            if (!task.with_images) continue;
            entry["unbound"] = task.levels.value("unbound", Json());
            entry["four_shot"] = evaluate(loaded, task, kShots).score;
            loaded.blind = true;
            entry["blind"] = evaluate(loaded, task, 0).score;
            loaded.blind = false;
            keep_samples(task, zero_shot);
        }
    }

    void measure_base() {
        LoadedModel base(directory_ / "runs" / "lm-2" / "model", options_);
        base.use_template("qa");
        for (const WorldTask& task : tasks_)
            if (!task.with_images)
                results_["text_tasks"][task.name]["base"] = evaluate(base, task, 0).score;
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

    // Means over the ordinary tasks, and over the text-only tasks.
    Json means() const {
        Json means;
        for (const char* column : {"zero_shot", "four_shot", "blind"}) {
            double sum = 0.0;
            for (const char* task : kOrdinary)
                sum += results_.at("tasks").at(task).at(column).get<double>();
            means[column] = sum / static_cast<double>(std::size(kOrdinary));
        }
        const Json& text = results_.at("text_tasks");
        for (const char* column : {"zero_shot", "base"}) {
            double sum = 0.0;
            for (const auto& [name, entry] : text.items()) sum += entry.at(column).get<double>();
            means[std::string("text_") + column] = sum / static_cast<double>(text.size());
        }
        return means;
    }

    Json image_table() const {
        Json rows = Json::array();
        const auto add_row = [&](const std::string& label, const Json& entry) {
            rows.push_back({label, entry.at("zero_shot"), entry.at("four_shot"), entry.at("blind"),
                            entry.value("unbound", Json()), entry.value("chance", Json())});
        };
        for (const char* task : kOrdinary) add_row(task, results_.at("tasks").at(task));
        add_row("mean of these six", results_.at("means"));
        add_row("what is it? (in context)", results_.at("tasks").at(kProperty));
        return {{"title",
                 "Held-out questions about images, exact match. Blind: the same model shown "
                 "nothing. Unbound: naming any object of the scene."},
                {"columns", {"task", "0-shot", "4-shot", "blind", "unbound", "chance"}},
                {"rows", rows}};
    }

    Json text_table() const {
        Json rows = Json::array();
        for (const auto& [name, entry] : results_.at("text_tasks").items())
            rows.push_back({name, entry.at("zero_shot"), entry.at("base"), entry.at("chance")});
        const Json& means = results_.at("means");
        rows.push_back({"mean", means.at("text_zero_shot"), means.at("text_base"), Json()});
        return {{"title", "Held-out questions without images"},
                {"columns", {"task", "after joint tuning", "base language model", "chance"}},
                {"rows", rows}};
    }

    fs::path directory_;
    std::vector<WorldTask> tasks_;
    CommonOptions options_;
    Json results_;
    Json samples_ = Json::array();
};

std::string cell_text(const Json& value) {
    if (value.is_string()) return value.get<std::string>();
    if (!value.is_number()) return "-";
    char text[32];
    std::snprintf(text, sizeof text, "%.3f", value.get<double>());
    return text;
}

}  // namespace

Json measure_demo(const fs::path& directory, const CommonOptions& options) {
    return Measurement(directory, options).run();
}

std::string demo_summary(const Json& results) {
    constexpr size_t kFirstColumn = 26, kLeastColumn = 10, kGap = 2;
    std::string text;
    for (const Json& table : results.at("tables")) {
        const Json& columns = table.at("columns");
        text += "\n" + table.at("title").get<std::string>() + "\n";
        const auto add_row = [&](const Json& row) {
            for (size_t i = 0; i < row.size(); ++i) {
                const std::string cell = cell_text(row[i]);
                const size_t width = std::max(kLeastColumn, columns[i].get<std::string>().size());
                const std::string space(
                    std::max(i == 0 ? kFirstColumn : width + kGap, cell.size()) - cell.size(), ' ');
                text += i == 0 ? cell + space : space + cell;
            }
            text += "\n";
        };
        add_row(columns);
        for (const Json& row : table.at("rows")) add_row(row);
    }
    return text;
}

}  // namespace vila::tools
