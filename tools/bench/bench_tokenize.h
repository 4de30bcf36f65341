#pragma once

// `vila bench tokenize`: text to ids and back on one thread, beside the rate at which that thread
// can read memory at all. Processor time, so that other work on the machine does not count.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/text/tokenizer.h"
#include "tensor/cpu/cpu_device.h"

namespace vila::tools {

// `text` cut behind line ends into documents of at least `bytes` bytes.
std::vector<std::string> documents_of(std::string_view text, int64_t bytes = 1024);
// About `bytes` bytes of the miniature world's captions, the same every time.
std::string world_text(int64_t bytes);

struct TokenizeMeasurement {
    int64_t bytes = 0, tokens = 0;
    // Bytes per second and thread, medians.
    double encode_rate = 0.0, decode_rate = 0.0, read_rate = 0.0;
    double encode_share = 0.0;  // of read_rate, the median of pairs
};

// Encodes and decodes the documents `repetitions` times, each beside a read of memory.
// `stream_bytes`: size of the buffer that is read.
TokenizeMeasurement bench_tokenize(const data::Tokenizer& tokenizer,
                                   std::span<const std::string> documents, int repetitions,
                                   int64_t stream_bytes = int64_t{1} << 30);

std::string tokenize_table(const std::string& name, const TokenizeMeasurement& measurement);
nlohmann::json tokenize_json(const std::string& name, const TokenizeMeasurement& measurement);

}  // namespace vila::tools
