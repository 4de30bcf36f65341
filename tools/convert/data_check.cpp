#include "tools/convert/data_check.h"

#include <algorithm>
#include <array>
#include <exception>
#include <filesystem>
#include <sstream>

#include "data/loader/bad_records.h"
#include "data/loader/task_pool.h"
#include "data/records/record_file.h"
#include "tensor/check.h"
#include "tools/base/image_source.h"
#include "tools/base/progress.h"

namespace vila::tools {

namespace {

constexpr int64_t kBlock = 256;  // records between two updates of the progress line

// Why a record cannot be used.
enum class Fault { None, Record, Targets, MissingImage, Image, Count };
constexpr std::array<const char*, static_cast<size_t>(Fault::Count)> kFaults = {
    "", "records that are not valid", "records without a target within max_length",
    "records with a missing image", "records with an image that cannot be read"};

struct Outcome {
    Fault fault = Fault::None;
    std::string message;  // the record and what is wrong with it
    int64_t images = 0;
    bool truncated = false;
    std::exception_ptr failure;  // of the system, not of the record
};

// Checks the images of a sample. Fills in the fault of the first bad one.
void check_images(const data::Sample& sample, const std::string& where, bool decode,
                  Outcome& outcome) {
    for (const data::ImageRef& image : sample.images) {
        const bool is_there = has_image_file(image);
        try {
            VILA_CHECK(is_there, image.path, " is missing or empty");
            if (decode) {
                read_image(image);
            } else {
                read_image_size(image);
            }
        } catch (const std::exception& failure) {
            data::rethrow_system_failure(failure);
            outcome.fault = is_there ? Fault::Image : Fault::MissingImage;
            outcome.message = str(where, ": ", failure.what());
            return;
        }
    }
}

// Counts the positions of a sample, for which some models look at the size of its images.
void count_tokens(data::Sample& sample, const std::string& where, const DataCheckOptions& options,
                  Outcome& outcome) {
    try {
        data::count_image_tokens(sample, options.image_tokens);
    } catch (const Error& failure) {
        data::rethrow_system_failure(failure);
        check_images(sample, where, true, outcome);
        if (outcome.fault == Fault::None)
            outcome = {Fault::Image, str(where, ": ", failure.what()), outcome.images, false, {}};
    }
}

Outcome check_record(const data::Dataset& dataset, int64_t index,
                     const data::TemplateContext& context, const DataCheckOptions& options) {
    Outcome outcome;
    try {
        data::Sample sample = dataset.get(index, context);
        outcome.images = static_cast<int64_t>(sample.images.size());
        count_tokens(sample, dataset.where(index), options, outcome);
        if (outcome.fault != Fault::None) return outcome;
        outcome.truncated = data::truncate_sample(sample, options.max_length);
        if (data::count_targets(sample) == 0) {
            outcome.fault = Fault::Targets;
            outcome.message = dataset.where(index);
            return outcome;
        }
        check_images(sample, dataset.where(index), options.decode, outcome);
    } catch (const std::exception& failure) {
        data::rethrow_system_failure(failure);
        outcome.fault = Fault::Record;
        outcome.message = failure.what();
    }
    return outcome;
}

void add_outcome(const Outcome& outcome, std::array<data::LeftOut, kFaults.size()>& faults,
                 SourceCheck& check) {
    ++check.records;
    check.images += outcome.images;
    if (outcome.fault != Fault::None) {
        faults[static_cast<size_t>(outcome.fault)].add(outcome.message);
        return;
    }
    ++check.usable;
    check.truncated += outcome.truncated ? 1 : 0;
}

Json left_out_json(const std::vector<data::LeftOut>& reasons) {
    Json list = Json::array();
    for (const data::LeftOut& reason : reasons)
        list.push_back(
            {{"what", reason.what}, {"count", reason.count}, {"examples", reason.examples}});
    return list;
}

struct Totals {
    int64_t records = 0, usable = 0;
    int64_t bad() const { return records - usable; }
};

Totals totals_of(const std::vector<SourceCheck>& checks) {
    Totals totals;
    for (const SourceCheck& check : checks) {
        totals.records += check.records;
        totals.usable += check.usable;
    }
    return totals;
}

// The first bad record of any source, and what is wrong with it.
std::string first_bad(const std::vector<SourceCheck>& checks) {
    for (const SourceCheck& check : checks)
        for (const data::LeftOut& reason : check.bad)
            for (const std::string& example : reason.examples) return example;
    return "";
}

}  // namespace

bool has_image_file(const data::ImageRef& image) {
    std::error_code error;
    return std::filesystem::is_regular_file(image.path, error) &&
           std::filesystem::file_size(image.path, error) > 0;
}

SourceCheck check_source(const CheckedSource& source, const data::TemplateContext& context,
                         const DataCheckOptions& options) {
    SourceCheck check;
    check.source = source;
    std::unique_ptr<data::Dataset> dataset;
    try {
        dataset = data::open_dataset(source.data);
    } catch (const std::exception& failure) {
        check.cannot_open = failure.what();
        return check;
    }
    check.left_out = dataset->left_out();
    const int64_t count =
        options.limit > 0 ? std::min(options.limit, dataset->size()) : dataset->size();
    Progress progress(source.name + ": record", count);
    data::TaskPool pool(std::max(options.threads - 1, 0));
    std::array<data::LeftOut, kFaults.size()> faults;
    for (size_t i = 0; i < faults.size(); ++i) faults[i].what = kFaults[i];
    for (int64_t begin = 0; begin < count; begin += kBlock) {
        std::vector<Outcome> outcomes(static_cast<size_t>(std::min(kBlock, count - begin)));
        pool.run(static_cast<int64_t>(outcomes.size()), [&](int64_t i) {
            Outcome& outcome = outcomes[static_cast<size_t>(i)];
            try {
                const int64_t index = (begin + i) * dataset->size() / count;
                outcome = check_record(*dataset, index, context, options);
            } catch (...) {
                outcome.failure = std::current_exception();
            }
        });
        for (const Outcome& outcome : outcomes) {
            if (outcome.failure) std::rethrow_exception(outcome.failure);
            add_outcome(outcome, faults, check);
        }
        progress.show(check.records, str(check.bad_records(), " bad"));
    }
    for (data::LeftOut& fault : faults)
        if (fault.count > 0) check.bad.push_back(std::move(fault));
    return check;
}

std::string reason_to_stop(const std::vector<SourceCheck>& checks, double max_bad_share) {
    for (const SourceCheck& check : checks) {
        if (!check.cannot_open.empty()) return check.cannot_open;
        if (check.usable == 0) return str("source ", check.source.name, " has no usable record");
    }
    const Totals totals = totals_of(checks);
    const std::string reason =
        data::too_many_bad_records(totals.bad(), totals.records, max_bad_share);
    return reason.empty() ? "" : str(reason, ": a run would stop; the first: ", first_bad(checks));
}

std::string describe_checks(const std::vector<SourceCheck>& checks) {
    std::ostringstream out;
    for (const SourceCheck& check : checks) {
        out << check.source.name << " (" << check.source.data.format << ", "
            << check.source.data.path.string() << "): ";
        if (!check.cannot_open.empty()) {
            out << "cannot be opened: " << check.cannot_open << '\n';
            continue;
        }
        out << check.usable << " of " << check.records << " records usable, " << check.images
            << " images, " << check.truncated << " records cut to max_length\n";
        for (const data::LeftOut& reason : check.left_out)
            out << "  left out: " << describe(reason) << '\n';
        for (const data::LeftOut& reason : check.bad) out << "  bad: " << describe(reason) << '\n';
    }
    return out.str();
}

Json checks_json(const std::vector<SourceCheck>& checks, double max_bad_share) {
    Json sources = Json::array();
    for (const SourceCheck& check : checks) {
        sources.push_back({{"name", check.source.name},
                           {"format", check.source.data.format},
                           {"path", check.source.data.path.string()},
                           {"records", check.records},
                           {"usable", check.usable},
                           {"truncated", check.truncated},
                           {"images", check.images},
                           {"bad", left_out_json(check.bad)},
                           {"left_out", left_out_json(check.left_out)}});
        if (!check.cannot_open.empty()) sources.back()["error"] = check.cannot_open;
    }
    const Totals totals = totals_of(checks);
    const std::string stop = reason_to_stop(checks, max_bad_share);
    return {{"sources", sources},
            {"records", totals.records},
            {"usable", totals.usable},
            {"bad_records", totals.bad()},
            {"allowed_bad_records", data::allowed_bad_records(totals.records, max_bad_share)},
            {"max_bad_share", max_bad_share},
            {"stops", stop.empty() ? Json() : Json(stop)}};
}

}  // namespace vila::tools
