#include "tools/report/report.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "data/image/image.h"
#include "data/image/image_write.h"
#include "tensor/check.h"
#include "tools/report/html_page.h"
#include "tools/report/svg_chart.h"

namespace vila::tools {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// log.jsonl of one run, column by column.
struct RunLog {
    std::string name;
    Series learning_rate{"lr", {}}, gradient_norm{"gradient norm", {}}, loss{"all", {}};
    Series tokens_per_second{"tokens/s", {}};
    std::map<std::string, Series> source_losses;
    int64_t tokens = 0;
    double seconds = 0.0;
};

void add_point(Series& series, double step, const json& line, const char* key) {
    if (line.contains(key) && line[key].is_number())
        series.points.emplace_back(step, line[key].get<double>());
}

RunLog read_log(const fs::path& run, const std::string& name) {
    RunLog log;
    log.name = name;
    std::ifstream file(run / "log.jsonl");
    VILA_CHECK(file.good(), run.string(), "/log.jsonl: cannot be opened; is this a run directory?");
    std::string text;
    for (int64_t number = 1; std::getline(file, text); ++number) {
        const json line = json::parse(text, nullptr, false);
        // A run that was killed may leave half of its last line.
        if (line.is_discarded() && file.peek() == EOF) break;
        VILA_CHECK(line.is_object() && line.contains("step"), run.string(), "/log.jsonl line ",
                   number, ": expected an object with \"step\"");
        const double step = line["step"].get<double>();
        add_point(log.loss, step, line, "loss");
        add_point(log.learning_rate, step, line, "lr");
        add_point(log.gradient_norm, step, line, "grad_norm");
        add_point(log.tokens_per_second, step, line, "tokens_per_second");
        log.tokens += line.value("tokens", int64_t{0});
        log.seconds += line.value("seconds", 0.0);
        if (line.contains("losses"))
            for (const auto& [source, loss] : line["losses"].items())
                if (loss.is_number()) {
                    Series& series = log.source_losses[source];
                    series.name = source;
                    series.points.emplace_back(step, loss.get<double>());
                }
    }
    return log;
}

void add_run(HtmlPage& page, const RunLog& log) {
    page.heading("Training: " + log.name);
    if (log.loss.points.empty()) {
        page.paragraph("No step was logged yet.");
        return;
    }
    char summary[160];
    std::snprintf(summary, sizeof summary,
                  "%.0f steps, %lld tokens in %.0f s of steps; loss %.4f at the end.",
                  log.loss.points.back().first, static_cast<long long>(log.tokens), log.seconds,
                  log.loss.points.back().second);
    page.paragraph(summary);
    std::vector<Series> losses;
    for (const auto& [source, series] : log.source_losses) losses.push_back(series);
    if (losses.size() != 1) losses.insert(losses.begin(), log.loss);
    page.figure(svg_chart("Loss", "step", losses), "Mean cross-entropy per loss-bearing token.");
    page.figure(svg_chart("Learning rate", "step", {log.learning_rate}),
                "After warm-up and decay.");
    page.figure(svg_chart("Gradient norm", "step", {log.gradient_norm}), "Before clipping.");
    page.figure(svg_chart("Speed", "step", {log.tokens_per_second}), "Tokens per second.");
}

std::string cell_text(const json& cell) {
    if (cell.is_string()) return cell.get<std::string>();
    if (!cell.is_number_float()) return cell.is_null() ? "" : cell.dump();
    char text[32];
    std::snprintf(text, sizeof text, "%.3f", cell.get<double>());
    return text;
}

Table to_table(const json& source) {
    Table table{source.at("title").get<std::string>(), {}, {}};
    for (const json& column : source.at("columns")) table.columns.push_back(cell_text(column));
    for (const json& row : source.at("rows")) {
        table.rows.emplace_back();
        for (const json& cell : row) table.rows.back().push_back(cell_text(cell));
        VILA_CHECK_EQ(table.rows.back().size(), table.columns.size(), "results.json, table \"",
                      table.title, "\": cells in a row");
    }
    return table;
}

AnswerCard to_card(const json& sample, const fs::path& folder) {
    AnswerCard card;
    for (const json& image : sample.value("images", json::array())) {
        card.images.push_back(
            data::png_data_uri(data::load_image(folder / image.get<std::string>())));
    }
    card.question = sample.value("question", "");
    card.answer = sample.value("answer", "");
    card.truth = sample.value("truth", "");
    card.correct = sample.value("correct", false);
    return card;
}

void add_results(HtmlPage& page, const fs::path& folder) {
    const fs::path path = folder / "results.json";
    if (!fs::exists(path)) return;
    std::ifstream file(path);
    const json results = json::parse(file, nullptr, false);
    VILA_CHECK(!results.is_discarded(), path.string(), ": is not JSON");
    try {
        if (results.contains("tables")) page.heading("Results");
        for (const json& table : results.value("tables", json::array()))
            page.table(to_table(table));
        std::vector<AnswerCard> cards;
        for (const json& sample : results.value("samples", json::array()))
            cards.push_back(to_card(sample, folder));
        if (!cards.empty()) page.heading("Held-out questions and the model's answers");
        page.cards(cards);
    } catch (const json::exception& error) {
        throw Error(str(path.string(), ": ", error.what()));
    }
}

void add_samples(HtmlPage& page, const std::vector<SourceSamples>& samples) {
    for (const SourceSamples& source : samples) {
        if (source.cards.empty()) continue;
        page.heading("Training data of " + source.source + " and the model's answers");
        page.cards(source.cards);
    }
}

}  // namespace

std::string report_page(const fs::path& folder, const std::vector<SourceSamples>& samples) {
    std::vector<RunLog> logs;
    if (fs::exists(folder / "log.jsonl")) {
        logs.push_back(read_log(folder, folder.filename().string()));
    } else if (fs::is_directory(folder / "runs")) {
        std::vector<fs::path> runs;
        for (const auto& entry : fs::directory_iterator(folder / "runs"))
            if (fs::exists(entry.path() / "log.jsonl")) runs.push_back(entry.path());
        // In the order in which they were trained.
        std::sort(runs.begin(), runs.end(), [](const fs::path& a, const fs::path& b) {
            return fs::last_write_time(a / "log.jsonl") < fs::last_write_time(b / "log.jsonl");
        });
        for (const fs::path& run : runs) logs.push_back(read_log(run, run.filename().string()));
    }
    VILA_CHECK(!logs.empty(), folder.string(),
               ": holds neither log.jsonl nor runs/*/log.jsonl; give the folder of a training run");
    HtmlPage page("vila report: " + fs::weakly_canonical(folder).filename().string());
    add_results(page, folder);
    add_samples(page, samples);
    for (const RunLog& log : logs) add_run(page, log);
    return page.str();
}

}  // namespace vila::tools
