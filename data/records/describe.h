#pragma once

// Prints samples and the statistics of a dataset as text.

#include <cstdint>
#include <string>
#include <vector>

#include "data/records/dataset.h"
#include "data/sample.h"
#include "data/text/tokenizer.h"

namespace vila::data {

// Returns a table with a row for each run of tokens of one kind (text, target, image): its
// positions, ids and text, or the path of the image. The images must be counted
// (count_image_tokens()).
std::string describe_sample(const Sample& sample, const Tokenizer& tokenizer);

// The distribution of one quantity over all samples.
struct Summary {
    int64_t total = 0;
    int64_t smallest = 0, median = 0, p90 = 0, largest = 0;
    double mean = 0;
};

struct DatasetStatistics {
    int64_t samples = 0;    // usable samples, cut as in training; all other numbers are about these
    int64_t text_only = 0;  // samples without an image
    int64_t truncated = 0;  // samples that were longer than max_length
    Summary images;         // images per sample
    Summary text_tokens;    // tokens per sample, without placeholders
    Summary targets;        // targets per sample
    Summary length;         // spliced positions per sample
    std::vector<std::string> errors;  // messages of the records that could not be used
    std::vector<LeftOut> left_out;    // of the dataset
};

// Reads `limit` records, evenly spread over the dataset (all of them if limit <= 0), and cuts them
// to max_length. Records without a target within it are errors, as in training. Opens no image
// unless `image_tokens` does.
DatasetStatistics collect_statistics(const Dataset& dataset, const TemplateContext& context,
                                     const ImageTokens& image_tokens, int64_t max_length,
                                     int64_t limit = 0);

// Returns the statistics as lines of text.
std::string describe_statistics(const DatasetStatistics& statistics);

}  // namespace vila::data
