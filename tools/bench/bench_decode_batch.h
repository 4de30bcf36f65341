#pragma once

// `vila bench decode-batch [--model DIR]`: answering 1, 2, 4, 8 and 16 prompts at a time on the
// CPU. A step reads all weights of the language model once, whatever the number of sequences, and
// the keys and values of each. No step can be faster than reading those bytes.

#include <cstdint>
#include <string>
#include <vector>

#include "models/vila.h"
#include "tensor/cpu/cpu_device.h"
#include "tensor/json.h"

namespace vila::tools {

struct DecodeBatchSizes {
    int64_t prompt_tokens = 64;  // of the longest prompt; each next prompt is a token shorter
    int64_t tokens = 32;         // new tokens of each sequence
    std::vector<int64_t> batches = {1, 2, 4, 8, 16};
};

// The language model of the benchmark when none is given: 172 million parameters, more than caches
// hold, with random weights.
models::LlamaConfig decode_batch_model();

struct DecodeBatchMeasurement {
    DType dtype;
    int threads;
    int64_t sequences;
    double tokens_per_second;  // of all sequences together, without the prompts; median
    double limit;              // tokens per second if a step only read its bytes; median
    double limit_share;        // median of the ratios
    double prompt_seconds;     // reading all prompts; median
};

// For every batch size, medians over `repetitions` runs of generate_many(), alternating with a read
// of the same weights. The time of a run with one new token, which reads the prompts, is
// subtracted.
std::vector<DecodeBatchMeasurement> bench_decode_batch(CpuDevice& device,
                                                       const models::VilaModel& model,
                                                       const DecodeBatchSizes& sizes,
                                                       int repetitions);

std::string decode_batch_table(const std::vector<DecodeBatchMeasurement>& measurements);
Json decode_batch_json(const std::vector<DecodeBatchMeasurement>& measurements);

}  // namespace vila::tools
