#include "tools/bench/bench_generate.h"

#include <algorithm>
#include <cstdio>
#include <optional>

#include "models/generate.h"
#include "tools/base/flops.h"
#include "tools/base/machine_limits.h"
#include "tools/base/timing.h"
#include "tools/bench/model_shapes.h"
#include "tools/run/loaded_model.h"

namespace vila::tools {

namespace {

int64_t weight_file_bytes(const std::filesystem::path& model) {
    int64_t bytes = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(model)) {
        const auto extension = entry.path().extension();
        if (entry.is_regular_file() && (extension == ".safetensors" || extension == ".bin"))
            bytes += static_cast<int64_t>(entry.file_size());
    }
    return bytes;
}

// Times the prompt and every token, and measures between them the rates that bound them.
class GenerationTimer {
  public:
    // `weights` are the matrices that a token reads; `stream_bytes` is the size of the buffer whose
    // reading is the other limit of a token.
    GenerationTimer(CpuDevice& device, std::vector<Tensor> weights, int64_t stream_bytes)
        : device_(device), weights_(device, std::move(weights)), stream_bytes_(stream_bytes) {}

    // Call it right before the prompt.
    void start() {
        measure_arithmetic();
        stopwatch_.restart();
    }

    void on_token() {
        const double seconds = stopwatch_.elapsed();
        if (stream_) {
            add_token(seconds);
        } else {
            end_prompt(seconds);
        }
        stopwatch_.restart();
    }

    // Fills in times and shares; `got` holds the operations of the prompt and the bytes of a token.
    void report(GenerateMeasurement& got) const {
        const double prompt_rate = got.prompt_flops / prompt_seconds_;
        got.first_token_seconds = prompt_seconds_;
        got.prompt_share = prompt_rate / median(vector_rates_);
        const bool has_tiles = got.dtype == DType::BF16 && median(tile_rates_) > 0.0;
        got.prompt_tile_share = has_tiles ? prompt_rate / median(tile_rates_) : 0.0;
        got.peak_process_bytes = peak_process_bytes_;
        std::vector<double> seconds, stream_shares, weights_shares;
        for (const Token& token : tokens_) {
            const double rate = static_cast<double>(got.bytes_per_token) / token.seconds;
            seconds.push_back(token.seconds);
            stream_shares.push_back(rate / token.stream_rate);
            weights_shares.push_back(rate / token.weights_rate);
        }
        got.token_seconds = median(std::move(seconds));
        got.limit_share = median(std::move(stream_shares));
        got.weights_share = median(std::move(weights_shares));
    }

  private:
    // A token, and the means of the rates measured before and after it, in bytes per second.
    struct Token {
        double seconds, stream_rate, weights_rate;
    };

    void measure_arithmetic() {
        constexpr int kMeasurements = 9;
        for (int i = 0; i < kMeasurements; ++i) {
            vector_rates_.push_back(std::max(multiply_add_rate(device_), bf16_dot_rate(device_)));
            tile_rates_.push_back(tile_product_rate(device_));
        }
    }

    // The first token ends the prompt.
    void end_prompt(double seconds) {
        prompt_seconds_ = seconds;
        measure_arithmetic();
        peak_process_bytes_ = peak_process_bytes();
        stream_.emplace(device_, stream_bytes_);
        stream_->rate();  // warm-up
        stream_rate_ = stream_->rate();
        weights_rate_ = weights_.rate();
    }

    void add_token(double seconds) {
        const double stream_rate = stream_->rate(), weights_rate = weights_.rate();
        tokens_.push_back(
            {seconds, (stream_rate_ + stream_rate) / 2.0, (weights_rate_ + weights_rate) / 2.0});
        stream_rate_ = stream_rate;
        weights_rate_ = weights_rate;
    }

    CpuDevice& device_;
    StreamRead weights_;
    std::optional<StreamRead> stream_;  // made after the prompt, so that it is not in the peak
    int64_t stream_bytes_;
    Stopwatch stopwatch_;
    std::vector<double> vector_rates_, tile_rates_;  // flop/s
    double prompt_seconds_ = 0.0;
    int64_t peak_process_bytes_ = 0;
    double stream_rate_ = 0.0, weights_rate_ = 0.0;  // the latest, bytes per second
    std::vector<Token> tokens_;
};

}  // namespace

GenerateMeasurement bench_generate(const CommonOptions& common,
                                   const GenerateBenchOptions& options) {
    GenerateMeasurement got{};
    std::optional<LoadedModel> opened;
    got.load_seconds = seconds_of([&] { opened.emplace(options.model, common); });
    const LoadedModel& loaded = *opened;
    const models::VilaModel& model = loaded.model();
    const models::LlamaConfig& llm = model.config().llm;
    auto& device = static_cast<CpuDevice&>(loaded.device());
    got.dtype = model.dtype();
    got.threads = device.threads();
    got.file_bytes = weight_file_bytes(options.model);

    GenerationTimer timer(device, decoded_matrices(model), options.stream_bytes);
    models::GenerateOptions generation;
    generation.max_tokens = options.tokens + 1;
    generation.on_token = [&](int32_t) {
        timer.on_token();
        return true;
    };
    timer.start();
    const Prompt prompt = loaded.prompts().chat_prompt({{data::Role::User, options.prompt}},
                                                       image_files(options.images));
    loaded.prompts().check_fits(prompt, generation.max_tokens);
    models::generate(model, prompt.view(), generation);

    got.prompt_positions = prompt.positions();
    got.cache_bytes = cache_bytes(llm, got.prompt_positions + options.tokens, model.dtype());
    got.bytes_per_token =
        weight_bytes_per_token(model) +
        cache_bytes(llm, got.prompt_positions + options.tokens / 2, model.dtype());
    int64_t image_tokens = 0;
    for (const auto& image : prompt.images) image_tokens += image->tokens;
    got.prompt_flops = FlopCounter(model, {}).forward(
        {.lengths = {got.prompt_positions},
         .targets = 1,
         .image_tokens = image_tokens,
         .encoded_tiles = image_tokens / model.config().image_layout().tile_tokens});
    timer.report(got);
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

Json generate_json(const GenerateMeasurement& x) {
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
