#pragma once

// `vila bench tokenize`: text to ids and back on one thread. The limit is the rate at which that
// thread reads memory. Times are processor time, so other work on the machine does not count.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/text/tokenizer.h"
#include "tensor/cpu/cpu_device.h"
#include "tensor/json.h"

namespace vila::tools {

// Cuts `text` after line ends into documents of at least `bytes` bytes.
std::vector<std::string> documents_of(std::string_view text, int64_t bytes = 1024);
// About `bytes` bytes of captions from the miniature world; always the same text.
std::string world_text(int64_t bytes);

struct TokenizeMeasurement {
    int64_t bytes = 0, tokens = 0;
    // Bytes per second of one thread, medians.
    double encode_rate = 0.0, decode_rate = 0.0, read_rate = 0.0;
    double encode_share = 0.0;  // encode_rate / read_rate, median of the pairs
};

// Encodes and decodes the documents `repetitions` times, alternating with reads of a buffer of
// `stream_bytes` bytes.
TokenizeMeasurement bench_tokenize(const data::Tokenizer& tokenizer,
                                   std::span<const std::string> documents, int repetitions,
                                   int64_t stream_bytes = int64_t{1} << 30);

std::string tokenize_table(const std::string& name, const TokenizeMeasurement& measurement);
Json tokenize_json(const std::string& name, const TokenizeMeasurement& measurement);

}  // namespace vila::tools
