#include "tools/report/report.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <vector>

#include "data/image/image.h"
#include "data/image/image_write.h"
#include "tensor/check.h"
#include "tensor/file.h"
#include "tensor/json.h"
#include "tools/report/html_page.h"
#include "tools/report/result_table.h"
#include "tools/report/svg_chart.h"

namespace vila::tools {

namespace {

namespace fs = std::filesystem;
// log.jsonl of one run, column by column.
struct RunLog {
    std::string name;
    Series learning_rate{"lr", {}}, gradient_norm{"gradient norm", {}}, loss{"all", {}};
    Series tokens_per_second{"tokens/s", {}};
    std::map<std::string, Series> source_losses;
    int64_t tokens = 0;
    double seconds = 0.0;
};

void add_point(Series& series, double step, const Json& line, const char* key) {
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
        const std::string where = str(run.string(), "/log.jsonl line ", number);
        // A run that was killed may leave half of its last line.
        if (file.peek() == EOF && !try_parse_json(text)) break;
        const Json line = parse_json(text, where);
        VILA_CHECK(line.is_object() && line.contains("step"), where,
                   ": expected an object with \"step\", got ", shown(line));
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

AnswerCard to_card(const Json& sample, const fs::path& folder) {
    AnswerCard card;
    for (const Json& image : sample.value("images", Json::array())) {
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
    const Json results = parse_json(read_file(path), path.string());
    try {
        if (results.contains("tables")) page.heading("Results");
        for (const Json& table : results.value("tables", Json::array()))
            page.table(table_from_json(table, ""));
        std::vector<AnswerCard> cards;
        for (const Json& sample : results.value("samples", Json::array()))
            cards.push_back(to_card(sample, folder));
        if (!cards.empty()) page.heading("Held-out questions and the model's answers");
        page.cards(cards);
    } catch (const Json::exception& error) {
        throw Error(str(path.string(), ": ", json_error_text(error)));
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
