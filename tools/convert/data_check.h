#pragma once

// Checks the records of a data source as a training run would use them: parses each, looks for its
// images, and counts what would be dropped and why.

#include <cstdint>
#include <string>
#include <vector>

#include "data/records/dataset.h"
#include "tensor/json.h"

namespace vila::tools {

// Returns whether the file of an image exists and holds anything.
bool has_image_file(const data::ImageRef& image);

// A source to check. `name` is for messages.
struct CheckedSource {
    std::string name;
    data::DatasetSource data;
};

struct DataCheckOptions {
    int64_t max_length = 2048;  // positions of a sample, images spliced
    data::ImageTokens image_tokens = [](const data::ImageRef&) { return int64_t{1}; };
    bool decode = false;  // decode images, not only read their headers
    int64_t limit = 0;    // records of a source, evenly spread over it; 0: all
    int threads = 1;
};

// What was found in one source.
struct SourceCheck {
    CheckedSource source;
    int64_t records = 0;                  // that were checked
    int64_t usable = 0;                   // the rest is in `bad`
    int64_t truncated = 0;                // usable records longer than max_length
    int64_t images = 0;                   // of the records that could be parsed
    std::string cannot_open;              // why the source cannot be opened; empty if it can
    std::vector<data::LeftOut> bad;       // records that cannot be used, one entry for each reason
    std::vector<data::LeftOut> left_out;  // by Dataset::left_out()

    int64_t bad_records() const { return records - usable; }
};

// Checks one source. Shows a progress line on stderr. Errors of the source are in the result.
SourceCheck check_source(const CheckedSource& source, const data::TemplateContext& context,
                         const DataCheckOptions& options);

// Returns why a run on these sources would not start, or would stop within an epoch: no usable
// record, a source that cannot be opened, or more bad records than data::allowed_bad_records() of
// those that were checked. Empty if it would run.
std::string reason_to_stop(const std::vector<SourceCheck>& checks, double max_bad_share);

// Returns the results as text for people.
std::string describe_checks(const std::vector<SourceCheck>& checks);
Json checks_json(const std::vector<SourceCheck>& checks, double max_bad_share);

}  // namespace vila::tools
