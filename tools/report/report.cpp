#include "tools/report/report.h"

#include <algorithm>
#include <map>
#include <vector>

#include "data/image/image.h"
#include "data/image/image_write.h"
#include "tensor/check.h"
#include "tensor/file.h"
#include "tensor/json.h"
#include "tensor/path_kind.h"
#include "tools/base/output_guard.h"
#include "tools/report/html_page.h"
#include "tools/report/result_table.h"
#include "tools/report/svg_chart.h"
#include "tools/train/recipe.h"
#include "tools/train/run_log.h"

namespace vila::tools {

namespace {

namespace fs = std::filesystem;

constexpr const char* kPageTitle = "vila report: ";

// A value that was not finite is null in the log and has no point.
void add_point(Series& series, double step, const JsonFields& line, const char* key) {
    if (line.has(key)) series.points.emplace_back(step, line.number(key, 0.0));
}

// The log of a run as one series per quantity.
struct RunCurves {
    std::string name;
    Series learning_rate{"lr", {}}, gradient_norm{"gradient norm", {}}, loss{"all", {}};
    Series tokens_per_second{"tokens/s", {}};
    std::map<std::string, Series> source_losses;
    double tokens = 0.0, seconds = 0.0;

    void add_step(const JsonFields& line) {
        const auto step = static_cast<double>(line.integer("step", 0, 0));
        add_point(loss, step, line, "loss");
        add_point(learning_rate, step, line, "lr");
        add_point(gradient_norm, step, line, "grad_norm");
        add_point(tokens_per_second, step, line, "tokens_per_second");
        tokens += static_cast<double>(line.integer("tokens", 0, 0));
        seconds += line.number("seconds", 0.0);
        if (!line.has("losses")) return;
        const JsonFields losses = line.object("losses");
        for (const auto& [source, value] : line.raw("losses").items()) {
            if (value.is_null()) continue;
            source_losses[source].name = source;
            add_point(source_losses[source], step, losses, source.c_str());
        }
    }
};

RunCurves read_curves(const fs::path& run) {
    RunCurves curves;
    curves.name = run.filename().string();
    for_each_logged_step(run / "log.jsonl", [&](const JsonFields& line) { curves.add_step(line); });
    return curves;
}

// The run in `folder`, or the runs in folder/runs in the order of training.
std::vector<RunCurves> read_runs(const fs::path& folder) {
    std::vector<fs::path> runs;
    if (path_exists(folder / "log.jsonl")) {
        runs.push_back(folder);
    } else if (directory_exists(folder / "runs")) {
        for (const auto& entry : fs::directory_iterator(folder / "runs"))
            if (path_exists(entry.path() / "log.jsonl")) runs.push_back(entry.path());
        std::sort(runs.begin(), runs.end(), [](const fs::path& a, const fs::path& b) {
            return fs::last_write_time(a / "log.jsonl") < fs::last_write_time(b / "log.jsonl");
        });
    }
    VILA_CHECK(!runs.empty(), folder.string(),
               ": holds neither log.jsonl nor runs/*/log.jsonl; give the folder of a training run");
    std::vector<RunCurves> curves;
    for (const fs::path& run : runs) curves.push_back(read_curves(run));
    return curves;
}

void add_run(HtmlPage& page, const RunCurves& run) {
    page.heading("Training: " + run.name);
    if (run.loss.points.empty()) {
        page.paragraph("No step was logged yet.");
        return;
    }
    char summary[160];
    std::snprintf(summary, sizeof summary,
                  "%.0f steps, %.0f tokens in %.0f s of steps; loss %.4f at the end.",
                  run.loss.points.back().first, run.tokens, run.seconds,
                  run.loss.points.back().second);
    page.paragraph(summary);
    std::vector<Series> losses;
    for (const auto& [source, series] : run.source_losses) losses.push_back(series);
    if (losses.size() != 1) losses.insert(losses.begin(), run.loss);
    page.figure(svg_chart("Loss", "step", losses), "Mean cross-entropy of the target tokens.");
    page.figure(svg_chart("Learning rate", "step", {run.learning_rate}),
                "After warm-up and decay.");
    page.figure(svg_chart("Gradient norm", "step", {run.gradient_norm}), "Before clipping.");
    page.figure(svg_chart("Speed", "step", {run.tokens_per_second}), "Tokens per second.");
}

AnswerCard to_card(const JsonFields& sample, const fs::path& folder) {
    AnswerCard card;
    for (const Json& image : sample.list("images")) {
        if (!image.is_string()) sample.fail("images", "a list of file names");
        card.images.push_back(
            data::png_data_uri(data::load_image(folder / image.get<std::string>())));
    }
    card.question = sample.text("question", "");
    card.answer = sample.text("answer", "");
    card.truth = sample.text("truth", "");
    card.correct = sample.boolean("correct", false);
    return card;
}

void add_results(HtmlPage& page, const fs::path& folder) {
    const fs::path path = folder / "results.json";
    if (!path_exists(path)) return;
    const Json json = parse_json(read_file(path), path.string());
    const JsonFields results(json, path.string());
    if (results.has("tables")) page.heading("Results");
    size_t number = 0;
    for (const Json& table : results.list("tables"))
        page.table(table_from_json(table, "", str(path.string(), ": tables[", number++, "]")));
    std::vector<AnswerCard> cards;
    for (const Json& sample : results.list("samples")) {
        const std::string where = str(path.string(), ": samples[", cards.size(), "]");
        cards.push_back(to_card(JsonFields(sample, where), folder));
    }
    if (!cards.empty()) page.heading("Held-out questions and the model's answers");
    page.cards(cards);
}

void add_samples(HtmlPage& page, const std::vector<SourceSamples>& samples) {
    for (const SourceSamples& source : samples) {
        if (source.cards.empty()) continue;
        page.heading("Training data of " + source.source + " and the model's answers");
        page.cards(source.cards);
    }
}

// Whether a file is a page that this program made.
bool is_report_page(const fs::path& path) {
    const RandomAccessFile file(path);
    std::string head(static_cast<size_t>(std::min<int64_t>(file.size(), 512)), '\0');
    file.read_at(0, head.data(), static_cast<int64_t>(head.size()));
    return head.starts_with("<!doctype html>") && head.find(kPageTitle) != std::string::npos;
}

std::vector<SourceRecipe> sources_of(const fs::path& folder) {
    try {
        return load_recipe((folder / "recipe.toml").string(), {}).data.sources;
    } catch (const Error&) {
        return {};  // a page without samples
    }
}

}  // namespace

void check_report_path(const fs::path& folder, const fs::path& page) {
    if (is_standard_stream(page)) return;
    const OutputGuard output("--output", page);
    std::vector<fs::path> folders = {folder};
    for (const SourceRecipe& source : sources_of(folder)) {
        output.check_input("data source " + source.name, source.path);
        if (!source.images.empty()) folders.emplace_back(source.images);
    }
    if (!fs::is_regular_file(page) || is_report_page(page)) return;
    for (const fs::path& place : folders)
        VILA_CHECK(!lies_inside(page, place), page.string(),
                   ": exists and is no report; choose another --output");
}

std::string report_page(const fs::path& folder, const std::vector<SourceSamples>& samples) {
    const std::vector<RunCurves> runs = read_runs(folder);
    HtmlPage page(kPageTitle + fs::weakly_canonical(folder).filename().string());
    add_results(page, folder);
    add_samples(page, samples);
    for (const RunCurves& run : runs) add_run(page, run);
    return page.str();
}

}  // namespace vila::tools
