#pragma once

// Looking at data: a sample as text, and statistics of a whole source.

#include <cstdint>
#include <string>
#include <vector>

#include "data/records/dataset.h"
#include "data/sample.h"
#include "data/text/tokenizer.h"

namespace vila::data {

// A table of runs of like tokens: positions, what they are (text, target, image), their ids and
// their text, image spans with their paths. `image_tokens` is N, for the positions after splicing.
std::string describe_sample(const Sample& sample, const Tokenizer& tokenizer, int64_t image_tokens);

// Of one quantity over all samples.
struct Summary {
    int64_t total = 0;
    int64_t smallest = 0, median = 0, p90 = 0, largest = 0;
    double mean = 0;
};

struct DatasetStatistics {
    int64_t samples = 0;              // that could be used
    int64_t text_only = 0;            // of them without an image
    int64_t over_length = 0;          // of them longer than max_length
    Summary images;                   // a sample
    Summary text_tokens;              // a sample, placeholders not counted
    Summary targets;                  // a sample
    Summary length;                   // spliced positions of a sample
    std::vector<std::string> errors;  // of the records that could not be used
};

// Reads `limit` records evenly spread over the dataset (all of them if limit <= 0). Images are not
// opened.
DatasetStatistics collect_statistics(const Dataset& dataset, const TemplateContext& context,
                                     int64_t image_tokens, int64_t max_length, int64_t limit = 0);

// The statistics as lines of text.
std::string describe_statistics(const DatasetStatistics& statistics);

}  // namespace vila::data
