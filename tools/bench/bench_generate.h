#pragma once

// `vila bench generate --model DIR [--image FILE]`: answering a prompt with a whole model. The
// prompt is limited by arithmetic; every new token is limited by memory bandwidth, because it reads
// all weights of the language model and the KV cache once.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "tensor/json.h"
#include "tools/base/args.h"

namespace vila::tools {

struct GenerateBenchOptions {
    std::filesystem::path model;
    std::string prompt = "Describe what you see.";
    std::vector<std::string> images;
    int64_t tokens = 32;                      // number of tokens to decode
    int64_t stream_bytes = int64_t{1} << 30;  // size of the buffer of the stream read
};

struct GenerateMeasurement {
    DType dtype;
    int threads;
    int64_t prompt_positions;    // with images expanded
    int64_t file_bytes;          // all weight files
    int64_t bytes_per_token;     // weights, and on average keys and values, that a token reads
    int64_t cache_bytes;         // keys and values of the prompt and the new tokens
    double load_seconds;         // opening the model
    double first_token_seconds;  // images, vision tower and prompt, once the model is open
    double prompt_flops;         // operations of tower, projector and language model up to there
    double prompt_share;         // of the faster vector loop: multiply-add or bf16 dot product
    double prompt_tile_share;    // of the AMX product loop; 0 without AMX
    double token_seconds;        // a token after the first, median
    double weights_share;        // of a plain read of the same weights, median
    double limit_share;          // of the stream read of a buffer, median
    int64_t peak_process_bytes;  // largest resident set before that buffer was allocated
};

// Decodes exactly `options.tokens` tokens greedily. Before and after each token it reads the
// weights without arithmetic, and the buffer of the stream read.
GenerateMeasurement bench_generate(const CommonOptions& common,
                                   const GenerateBenchOptions& options);

std::string generate_table(const GenerateMeasurement& measurement);
Json generate_json(const GenerateMeasurement& measurement);

}  // namespace vila::tools
