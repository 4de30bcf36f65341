#pragma once

// `vila bench generate --model DIR [--image FILE]`: a whole model answering, beside its two limits:
// the prompt does arithmetic, and every new token reads every weight of the language model and the
// cache once.

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/base/args.h"

namespace vila::tools {

struct GenerateBenchOptions {
    std::filesystem::path model;
    std::string prompt = "Describe what you see.";
    std::vector<std::string> images;
    int64_t tokens = 32;                      // to decode
    int64_t stream_bytes = int64_t{1} << 30;  // of the buffer whose reading is the limit
};

struct GenerateMeasurement {
    DType dtype;
    int threads;
    int64_t prompt_positions;    // images expanded
    int64_t file_bytes;          // of all weight files
    int64_t bytes_per_token;     // weights and, on average, keys and values that a token reads
    int64_t cache_bytes;         // of keys and values, for prompt and new tokens
    double load_seconds;         // opening the model
    double first_token_seconds;  // from the open model to the first token: pictures, tower, prompt
    double prompt_flops;         // of tower, projector and language model on the way there
    double prompt_share;         // of the faster vector loop: multiply-adds or bf16 dot products
    double prompt_tile_share;    // of products of tile registers; 0 where there are none
    double token_seconds;        // of each later one, median
    double weights_share;        // median of its shares of a plain read of the same weights
    double limit_share;          // median of its shares of the stream read of a buffer
    int64_t peak_process_bytes;  // largest resident set before the limit's own buffer was made
};

// Greedy decoding of exactly that many tokens, each between two reads of the weights without any
// arithmetic, and of a buffer.
GenerateMeasurement bench_generate(const CommonOptions& common,
                                   const GenerateBenchOptions& options);

std::string generate_table(const GenerateMeasurement& measurement);
nlohmann::json generate_json(const GenerateMeasurement& measurement);

}  // namespace vila::tools
