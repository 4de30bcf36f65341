#include "tools/train/step_log.h"

#include <cmath>
#include <cstdio>

namespace vila::tools {

namespace {

std::string fixed(double value, const char* format) {
    char text[64];
    std::snprintf(text, sizeof(text), format, value);
    return text;
}

// JSON has no NaN and no infinity.
Json finite_or_null(double value) {
    return std::isfinite(value) ? Json(value) : Json();
}

// Mean loss of each source that has samples in the step.
Json source_means(const StepTotals& totals, const std::vector<std::string>& sources) {
    Json means = Json::object();
    for (size_t i = 0; i < totals.source_losses.size(); ++i)
        if (totals.source_counts[i] > 0.0)
            means[sources[i]] = finite_or_null(totals.source_losses[i] / totals.source_counts[i]);
    return means;
}

// Concatenates the arrays of all ranks.
Json join(dist::Collectives& ranks, const Json& mine) {
    Json all = Json::array();
    const auto replace = Json::error_handler_t::replace;  // ids need not be UTF-8
    for (const std::string& text : dist::all_gather(ranks, mine.dump(-1, ' ', false, replace)))
        for (const Json& item : parse_json(text, "the samples of a rank")) all.push_back(item);
    return all;
}

}  // namespace

Json step_line(int64_t step, const StepTotals& totals, double lr, const StepCosts& costs,
               const std::vector<std::string>& sources, bool several_ranks) {
    Json line = {{"step", step},
                 {"loss", finite_or_null(totals.loss)},
                 {"lr", lr},
                 {"grad_norm", finite_or_null(totals.norm)},
                 {"tokens", totals.tokens},
                 {"targets", totals.targets},
                 {"tokens_per_second", costs.tokens_per_second(totals)},
                 {"seconds", costs.seconds},
                 {"losses", source_means(totals, sources)}};
    if (totals.truncated > 0) line["truncated_samples"] = totals.truncated;
    for (const data::BadSample& bad : totals.bad_samples)
        line["bad_samples"].push_back({{"where", bad.where}, {"reason", bad.reason}});
    if (several_ranks)
        line["communication"] = {{"collectives", costs.traffic.calls},
                                 {"sent_bytes", costs.traffic.bytes_sent},
                                 {"seconds", costs.traffic.seconds},
                                 {"exposed_seconds", costs.traffic.exposed}};
    return line;
}

std::string step_text(const StepTotals& totals, const StepCosts& costs, double peak_flops,
                      bool several_ranks) {
    std::string text = "loss " + fixed(totals.loss, "%.4f") + "  " +
                       fixed(costs.tokens_per_second(totals), "%.0f") + " tokens/s";
    if (peak_flops > 0.0)
        text += "  " + fixed(100.0 * totals.flops / costs.seconds / peak_flops, "%.0f") +
                " % of FMA peak";
    if (several_ranks)
        text += "  " + fixed(static_cast<double>(costs.traffic.bytes_sent) / 1e6, "%.1f") +
                " MB sent, " + fixed(100.0 * costs.traffic.exposed / costs.seconds, "%.0f") +
                " % of the time waiting";
    return text;
}

Json all_sample_ids(dist::Collectives& ranks, const data::StepBatch& batch,
                    const std::vector<std::string>& sources) {
    Json mine = Json::array();
    for (const data::MicroBatch& micro : batch.micro_batches)
        for (const data::LoadedSample& loaded : micro.samples) {
            const std::string& source = sources[static_cast<size_t>(loaded.sample.source)];
            mine.push_back(str(source, "[", loaded.sample.index, "]",
                               loaded.sample.id.empty() ? "" : " " + loaded.sample.id));
        }
    return join(ranks, mine);
}

std::vector<data::BadSample> all_bad_samples(dist::Collectives& ranks,
                                             const data::StepBatch& batch) {
    Json mine = Json::array();
    for (const data::BadSample& bad : batch.bad_samples)
        mine.push_back({bad.source, bad.index, bad.where, bad.reason});
    std::vector<data::BadSample> all;
    for (const Json& bad : join(ranks, mine))
        all.push_back({batch.step, bad[0].get<int32_t>(), bad[1].get<int64_t>(),
                       bad[2].get<std::string>(), bad[3].get<std::string>()});
    return all;
}

}  // namespace vila::tools
