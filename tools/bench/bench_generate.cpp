#include "tools/bench/bench_generate.h"

#include <sys/resource.h>

#include <cstdio>
#include <optional>

#include "tools/base/flops.h"
#include "tools/base/machine_limits.h"
#include "tools/base/timing.h"
#include "tools/run/loaded_model.h"

namespace vila::tools {

namespace {

int64_t peak_resident_bytes() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return int64_t{usage.ru_maxrss} << 10;
}

int64_t weight_file_bytes(const std::filesystem::path& model) {
    int64_t bytes = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(model)) {
        const auto extension = entry.path().extension();
        if (entry.is_regular_file() && (extension == ".safetensors" || extension == ".bin"))
            bytes += static_cast<int64_t>(entry.file_size());
    }
    return bytes;
}

// What a new token reads of the weights: all but the rows of the embedding table that it does not
// look up; a tied table is the head and is read whole.
int64_t weight_bytes_per_token(const models::VilaModel& model) {
    const models::LlamaConfig& llm = model.config().llm;
    int64_t elements = model.llm_table().count();
    if (!llm.tie_word_embeddings) elements -= (llm.vocab_size - 1) * llm.hidden_size;
    return elements * dtype_size(model.dtype());
}

// The matrices of the language model that a token reads whole.
std::vector<Tensor> matrices(const models::VilaModel& model) {
    const bool tied = model.config().llm.tie_word_embeddings;
    std::vector<Tensor> found;
    for (const nn::Parameter& parameter : model.llm_table()) {
        const bool looked_up = parameter.name.find("embed_tokens") != std::string::npos;
        if (parameter.shape.rank() == 2 && (tied || !looked_up))
            found.push_back(parameter.variable.value());
    }
    return found;
}

int64_t cache_bytes(const models::VilaModel& model, int64_t positions) {
    const models::LlamaConfig& llm = model.config().llm;
    return 2 * llm.num_hidden_layers * positions * llm.num_key_value_heads * llm.head_dim *
           dtype_size(model.dtype());
}

}  // namespace

GenerateMeasurement bench_generate(const CommonOptions& common,
                                   const GenerateBenchOptions& options) {
    GenerateMeasurement got{};
    std::optional<LoadedModel> opened;
    got.load_seconds = seconds_of([&] { opened.emplace(options.model, common); });
    const LoadedModel& loaded = *opened;
    auto& device = static_cast<CpuDevice&>(loaded.device());
    got.dtype = loaded.model().dtype();
    got.threads = device.threads();
    got.file_bytes = weight_file_bytes(options.model);

    std::vector<double> tokens, shares, weights_shares;
    const StreamRead weights(device, matrices(loaded.model()));
    std::optional<StreamRead> stream;
    models::GenerateOptions generation;
    generation.max_tokens = options.tokens + 1;
    double rate = 0.0, weights_rate = 0.0, first = 0.0;
    std::vector<double> arithmetic, tiles;
    const auto time_arithmetic = [&] {
        for (int look = 0; look < 9; ++look) {
            arithmetic.push_back(std::max(multiply_add_rate(device), bf16_dot_rate(device)));
            tiles.push_back(tile_product_rate(device));
        }
    };
    time_arithmetic();
    auto start = std::chrono::steady_clock::now();
    const auto elapsed = [&] {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    };
    generation.on_token = [&](int32_t) {
        const double seconds = elapsed();
        if (!stream) {
            first = seconds;
            time_arithmetic();
            got.peak_process_bytes = peak_resident_bytes();
            stream.emplace(device, options.stream_bytes);
            stream->rate();
            rate = stream->rate();
            weights_rate = weights.rate();
        } else {
            const double next = stream->rate(), next_weights = weights.rate();
            const double speed = static_cast<double>(got.bytes_per_token) / seconds;
            tokens.push_back(seconds);
            shares.push_back(speed / ((rate + next) / 2.0));
            weights_shares.push_back(speed / ((weights_rate + next_weights) / 2.0));
            rate = next;
            weights_rate = next_weights;
        }
        start = std::chrono::steady_clock::now();
        return true;
    };
    const Prompt prompt = loaded.chat_prompt({{data::Role::User, options.prompt}}, options.images);
    loaded.check_fits(prompt, generation.max_tokens);
    got.prompt_positions = prompt.length(options.images.empty() ? 1 : loaded.tokens_per_image());
    const int64_t positions = got.prompt_positions + options.tokens;
    got.cache_bytes = cache_bytes(loaded.model(), positions);
    got.bytes_per_token = weight_bytes_per_token(loaded.model()) +
                          cache_bytes(loaded.model(), got.prompt_positions + options.tokens / 2);
    models::generate(loaded.model(), prompt.view(), generation);
    const auto images = static_cast<int64_t>(options.images.size());
    got.prompt_flops = FlopCounter(loaded.model(), {})
                           .forward({.lengths = {got.prompt_positions},
                                     .targets = 1,
                                     .images = images,
                                     .encoded_images = images});
    got.prompt_share = got.prompt_flops / first / median(arithmetic);
    const bool has_tiles = got.dtype == DType::BF16 && median(tiles) > 0.0;
    got.prompt_tile_share = has_tiles ? got.prompt_flops / first / median(tiles) : 0.0;
    got.first_token_seconds = first;
    got.token_seconds = median(tokens);
    got.limit_share = median(shares);
    got.weights_share = median(weights_shares);
    return got;
}

std::string generate_table(const GenerateMeasurement& x) {
    char tiles[80] = "";
    if (x.prompt_tile_share > 0.0)
        std::snprintf(tiles, sizeof(tiles), ", %.0f%% of products in tile registers",
                      x.prompt_tile_share * 100.0);
    char text[800];
    std::snprintf(text, sizeof(text),
                  "%s, %d threads; weight files %.3f GB, cache %.3f GB, peak resident %.3f GB\n"
                  "opened in %.2f s; first token of a prompt of %lld positions after %.2f s: "
                  "%.1f GF/s, %.0f%% of the faster vector loop%s\n"
                  "then %.2f tokens/s, %.3f GB a token: %.0f%% of reading the same weights without "
                  "arithmetic, %.0f%% of the stream read of a buffer\n",
                  dtype_name(x.dtype), x.threads, double(x.file_bytes) * 1e-9,
                  double(x.cache_bytes) * 1e-9, double(x.peak_process_bytes) * 1e-9, x.load_seconds,
                  static_cast<long long>(x.prompt_positions), x.first_token_seconds,
                  x.prompt_flops / x.first_token_seconds * 1e-9, x.prompt_share * 100.0, tiles,
                  1.0 / x.token_seconds, double(x.bytes_per_token) * 1e-9, x.weights_share * 100.0,
                  x.limit_share * 100.0);
    return text;
}

nlohmann::json generate_json(const GenerateMeasurement& x) {
    return {{"generate",
             {{"dtype", dtype_name(x.dtype)},
              {"threads", x.threads},
              {"prompt_positions", x.prompt_positions},
              {"file_bytes", x.file_bytes},
              {"bytes_per_token", x.bytes_per_token},
              {"cache_bytes", x.cache_bytes},
              {"load_seconds", x.load_seconds},
              {"first_token_seconds", x.first_token_seconds},
              {"prompt_flops", x.prompt_flops},
              {"share_of_arithmetic", x.prompt_share},
              {"share_of_tile_product", x.prompt_tile_share},
              {"tokens_per_second", 1.0 / x.token_seconds},
              {"share_of_weights_read", x.weights_share},
              {"share_of_stream_read", x.limit_share},
              {"peak_process_bytes", x.peak_process_bytes}}}};
}

}  // namespace vila::tools
