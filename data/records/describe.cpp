#include "data/records/describe.h"

#include <algorithm>
#include <iomanip>
#include <numeric>
#include <sstream>

#include "data/records/record_file.h"
#include "tensor/check.h"
#include "tensor/json.h"

namespace vila::data {

namespace {

constexpr size_t kListedIds = 12;
constexpr size_t kListedErrors = 5;

// A run of adjacent tokens of one kind.
struct Run {
    enum class Kind { Text, Target, Image } kind;
    size_t begin, end;
};

Run::Kind kind_of(const Sample& sample, size_t i) {
    if (sample.ids[i] == kImageToken) return Run::Kind::Image;
    return sample.labels[i] == kIgnoreLabel ? Run::Kind::Text : Run::Kind::Target;
}

std::vector<Run> runs_of(const Sample& sample) {
    std::vector<Run> runs;
    for (size_t i = 0; i < sample.ids.size(); ++i) {
        const Run::Kind kind = kind_of(sample, i);
        if (runs.empty() || runs.back().kind != kind || kind == Run::Kind::Image)
            runs.push_back({kind, i, i});
        runs.back().end = i + 1;
    }
    return runs;
}

std::string ids_of(const Sample& sample, const Run& run) {
    std::string ids;
    for (size_t i = run.begin; i < std::min(run.end, run.begin + kListedIds); ++i)
        ids += str(ids.empty() ? "" : " ", sample.ids[i]);
    return run.end - run.begin > kListedIds ? ids + " ..." : ids;
}

Summary summarize(std::vector<int64_t> values) {
    Summary summary;
    if (values.empty()) return summary;
    std::sort(values.begin(), values.end());
    // Returns the smallest value such that at least `percent` of all values are at or below it.
    const auto quantile = [&](int64_t percent) {
        const auto count = static_cast<int64_t>(values.size());
        return values[std::max<int64_t>((count * percent + 99) / 100, 1) - 1];
    };
    summary.total = std::accumulate(values.begin(), values.end(), int64_t{0});
    summary.smallest = values.front();
    summary.median = quantile(50);
    summary.p90 = quantile(90);
    summary.largest = values.back();
    summary.mean = static_cast<double>(summary.total) / static_cast<double>(values.size());
    return summary;
}

// Reads a record as training does. Sets `truncated` if the sample was longer than max_length.
Sample read_sample(const Dataset& dataset, int64_t index, const TemplateContext& context,
                   const ImageTokens& image_tokens, int64_t max_length, bool& truncated) {
    Sample sample = dataset.get(index, context);
    try {
        count_image_tokens(sample, image_tokens);
    } catch (const Error& error) {
        rethrow_system_failure(error);
        throw Error(str(dataset.where(index), ": ", error.what()));
    }
    truncated = truncate_sample(sample, max_length);
    VILA_CHECK(count_targets(sample) > 0, dataset.where(index), ": no target within max_length ",
               max_length);
    return sample;
}

}  // namespace

std::string describe_sample(const Sample& sample, const Tokenizer& tokenizer) {
    std::ostringstream out;
    out << "sample " << (sample.id.empty() ? "without id" : one_line(sample.id)) << " (source "
        << sample.source << ", record " << sample.index << "): " << spliced_length(sample)
        << " positions, " << count_targets(sample) << " targets, " << sample.images.size()
        << " images\n";
    int64_t position = 0;
    size_t image = 0;
    for (const Run& run : runs_of(sample)) {
        const bool is_image = run.kind == Run::Kind::Image;
        const auto count = static_cast<int64_t>(run.end - run.begin);
        const int64_t last = position + (is_image ? sample.image_tokens.at(image) : count) - 1;
        const char* kinds[] = {"text", "target", "image"};
        out << std::setw(6) << position << " - " << std::left << std::setw(6) << last
            << std::setw(8) << kinds[static_cast<int>(run.kind)] << std::right;
        if (is_image) {
            const ImageRef& ref = sample.images.at(image++);
            out << one_line(ref.path);
            if (ref.bytes >= 0) out << ", " << ref.bytes << " bytes at " << ref.offset;
        } else {
            const std::span<const int32_t> ids(sample.ids.data() + run.begin, run.end - run.begin);
            out << Json(tokenizer.decode(ids)).dump() << "  " << ids_of(sample, run);
        }
        out << '\n';
        position = last + 1;
    }
    return out.str();
}

DatasetStatistics collect_statistics(const Dataset& dataset, const TemplateContext& context,
                                     const ImageTokens& image_tokens, int64_t max_length,
                                     int64_t limit) {
    DatasetStatistics statistics;
    std::vector<int64_t> images, text_tokens, targets, lengths;
    const int64_t count = limit > 0 ? std::min(limit, dataset.size()) : dataset.size();
    for (int64_t i = 0; i < count; ++i) {
        try {
            bool truncated = false;
            const Sample sample = read_sample(dataset, i * dataset.size() / count, context,
                                              image_tokens, max_length, truncated);
            const auto sample_images = static_cast<int64_t>(sample.images.size());
            images.push_back(sample_images);
            text_tokens.push_back(static_cast<int64_t>(sample.ids.size()) - sample_images);
            targets.push_back(count_targets(sample));
            lengths.push_back(spliced_length(sample));
            statistics.text_only += sample_images == 0 ? 1 : 0;
            statistics.truncated += truncated ? 1 : 0;
        } catch (const Error& error) {
            rethrow_system_failure(error);
            statistics.errors.push_back(error.what());
        }
    }
    statistics.left_out = dataset.left_out();
    statistics.samples = static_cast<int64_t>(lengths.size());
    statistics.images = summarize(std::move(images));
    statistics.text_tokens = summarize(std::move(text_tokens));
    statistics.targets = summarize(std::move(targets));
    statistics.length = summarize(std::move(lengths));
    return statistics;
}

std::string describe_statistics(const DatasetStatistics& statistics) {
    std::ostringstream out;
    out << statistics.samples << " samples, " << statistics.text_only << " of them without images, "
        << statistics.truncated << " cut to max_length\n";
    out << std::left << std::setw(14) << "a sample" << std::right;
    for (const char* column : {"total", "mean", "smallest", "median", "p90", "largest"})
        out << std::setw(column[0] == 't' ? 14 : 10) << column;
    const auto row = [&](const char* name, const Summary& summary) {
        out << '\n'
            << std::left << std::setw(14) << name << std::right << std::setw(14) << summary.total
            << std::setw(10) << std::fixed << std::setprecision(1) << summary.mean << std::setw(10)
            << summary.smallest << std::setw(10) << summary.median << std::setw(10) << summary.p90
            << std::setw(10) << summary.largest;
    };
    row("images", statistics.images);
    row("text tokens", statistics.text_tokens);
    row("targets", statistics.targets);
    row("positions", statistics.length);
    out << '\n';
    for (const LeftOut& reason : statistics.left_out)
        out << "left out: " << describe(reason) << '\n';
    if (statistics.errors.empty()) return out.str();
    out << statistics.errors.size() << " records could not be used:\n";
    for (size_t i = 0; i < std::min(statistics.errors.size(), kListedErrors); ++i)
        out << "  " << statistics.errors[i] << '\n';
    if (statistics.errors.size() > kListedErrors)
        out << "  and " << statistics.errors.size() - kListedErrors << " more\n";
    return out.str();
}

}  // namespace vila::data
