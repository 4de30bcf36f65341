#include "tools/bench/bench_tokenize.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "data/world/random.h"
#include "data/world/scene.h"
#include "data/world/text.h"
#include "tools/base/machine_limits.h"
#include "tools/base/timing.h"

namespace vila::tools {

namespace {

constexpr double kMega = 1e6;

}  // namespace

std::vector<std::string> documents_of(std::string_view text, int64_t bytes) {
    std::vector<std::string> documents;
    while (!text.empty()) {
        const auto at_least = static_cast<size_t>(std::max<int64_t>(bytes, 1)) - 1;
        const size_t line_end = text.find('\n', at_least);
        documents.emplace_back(text.substr(0, line_end == text.npos ? line_end : line_end + 1));
        text.remove_prefix(documents.back().size());
    }
    return documents;
}

std::string world_text(int64_t bytes) {
    data::WorldRandom random(1, "bench tokenize");
    std::string text;
    while (static_cast<int64_t>(text.size()) < bytes) {
        text += data::full_caption(data::make_scene(random.between(1, 4), random));
        text += '\n';
    }
    return text;
}

TokenizeMeasurement bench_tokenize(const data::Tokenizer& tokenizer,
                                   std::span<const std::string> documents, int repetitions,
                                   int64_t stream_bytes) {
    const auto device = make_cpu_device(1);
    const StreamRead stream(*device, stream_bytes);
    TokenizeMeasurement measurement;
    std::vector<std::vector<int32_t>> ids(documents.size());
    for (const std::string& document : documents)
        measurement.bytes += static_cast<int64_t>(document.size());
    std::vector<double> encode_rates, decode_rates, read_rates, shares;
    size_t decoded = 0;
    for (int repetition = 0; repetition < repetitions; ++repetition) {
        const double reading = thread_seconds_of([&] { stream.rate(); });
        const double encoding = thread_seconds_of([&] {
            for (size_t i = 0; i < documents.size(); ++i) ids[i] = tokenizer.encode(documents[i]);
        });
        const double decoding = thread_seconds_of([&] {
            for (const auto& document : ids) decoded += tokenizer.decode(document).size();
        });
        const auto bytes = double(measurement.bytes);
        read_rates.push_back(double(stream_bytes) / reading);
        encode_rates.push_back(bytes / encoding);
        decode_rates.push_back(bytes / decoding);
        shares.push_back(encode_rates.back() / read_rates.back());
    }
    VILA_CHECK(decoded > 0, "[bench tokenize] the decoded text is empty");
    for (const auto& document : ids) measurement.tokens += static_cast<int64_t>(document.size());
    measurement.encode_rate = median(std::move(encode_rates));
    measurement.decode_rate = median(std::move(decode_rates));
    measurement.read_rate = median(std::move(read_rates));
    measurement.encode_share = median(std::move(shares));
    return measurement;
}

std::string tokenize_table(const std::string& name, const TokenizeMeasurement& x) {
    char lines[320];
    std::snprintf(lines, sizeof(lines),
                  "  text        %9.2f MB, %.2f bytes a token\n"
                  "  encode      %9.1f MB/s a thread, %.2f %% of memory read\n"
                  "  decode      %9.1f MB/s\n"
                  "  memory read %9.1f MB/s\n",
                  double(x.bytes) / kMega, double(x.bytes) / double(std::max<int64_t>(x.tokens, 1)),
                  x.encode_rate / kMega, 100.0 * x.encode_share, x.decode_rate / kMega,
                  x.read_rate / kMega);
    return "tokenizer: " + name + "\n" + lines;
}

Json tokenize_json(const std::string& name, const TokenizeMeasurement& x) {
    return {{"tokenize",
             {{"tokenizer", name},
              {"bytes", x.bytes},
              {"tokens", x.tokens},
              {"encode_megabytes_per_second", x.encode_rate / kMega},
              {"decode_megabytes_per_second", x.decode_rate / kMega},
              {"read_megabytes_per_second", x.read_rate / kMega},
              {"encode_share", x.encode_share}}}};
}

}  // namespace vila::tools
