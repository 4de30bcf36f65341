#include "tools/bench/bench_decode_batch.h"

#include <cstdio>

#include "models/generate.h"
#include "tools/base/machine_limits.h"
#include "tools/base/timing.h"
#include "tools/bench/model_shapes.h"

namespace vila::tools {

namespace {

// Prompts of different lengths, no two with the same first token.
std::vector<std::vector<int32_t>> make_prompts(const DecodeBatchSizes& sizes, int64_t vocabulary,
                                               int64_t count) {
    std::vector<std::vector<int32_t>> prompts;
    for (int64_t b = 0; b < count; ++b) {
        std::vector<int32_t> ids;
        const int64_t length = std::max<int64_t>(1, sizes.prompt_tokens - b);
        for (int64_t i = 0; i < length; ++i)
            ids.push_back(static_cast<int32_t>((b + 7 * i) % vocabulary));
        prompts.push_back(ids);
    }
    return prompts;
}

// Seconds in which all prompts are answered with `tokens` tokens each.
double seconds_to_answer(const models::VilaModel& model,
                         const std::vector<std::vector<int32_t>>& prompts, int64_t tokens) {
    models::GenerateOptions options;
    options.max_tokens = tokens;
    std::vector<models::Sequence> sequences;
    for (const auto& ids : prompts) sequences.push_back({ids, {}, {}});
    return seconds_of([&] {
        for (const auto& answer : models::generate_many(model, sequences, options))
            VILA_CHECK_EQ(static_cast<int64_t>(answer.size()), tokens,
                          "[bench decode-batch] new tokens");
    });
}

DecodeBatchMeasurement measure(CpuDevice& device, const models::VilaModel& model,
                               const DecodeBatchSizes& sizes, int64_t sequences, int repetitions) {
    const models::LlamaConfig& llm = model.config().llm;
    const auto prompts = make_prompts(sizes, llm.vocab_size, sequences);
    const StreamRead weights(device, decoded_matrices(model));
    const int64_t positions = sizes.prompt_tokens + sizes.tokens / 2;  // on average
    const auto step_bytes = static_cast<double>(
        weight_bytes_per_token(model) + sequences * cache_bytes(llm, positions, model.dtype()));
    seconds_to_answer(model, prompts, 1);  // warm-up
    std::vector<double> rates, limits, shares, prompt_times;
    double before = weights.rate();
    for (int i = 0; i < repetitions; ++i) {
        const double prompt_seconds = seconds_to_answer(model, prompts, 1);
        const double seconds = seconds_to_answer(model, prompts, sizes.tokens + 1) - prompt_seconds;
        const double after = weights.rate();
        rates.push_back(static_cast<double>(sequences * sizes.tokens) / seconds);
        limits.push_back(static_cast<double>(sequences) * (before + after) / 2.0 / step_bytes);
        shares.push_back(rates.back() / limits.back());
        prompt_times.push_back(prompt_seconds);
        before = after;
    }
    return {.dtype = model.dtype(),
            .threads = device.threads(),
            .sequences = sequences,
            .tokens_per_second = median(rates),
            .limit = median(limits),
            .limit_share = median(shares),
            .prompt_seconds = median(prompt_times)};
}

}  // namespace

models::LlamaConfig decode_batch_model() {
    return llama_config({.vocabulary = 8192,
                         .width = 1024,
                         .ffn = 2816,
                         .layers = 12,
                         .heads = 16,
                         .head_dim = 64,
                         .positions = 2048});
}

std::vector<DecodeBatchMeasurement> bench_decode_batch(CpuDevice& device,
                                                       const models::VilaModel& model,
                                                       const DecodeBatchSizes& sizes,
                                                       int repetitions) {
    const int64_t positions = model.config().llm.max_position_embeddings;
    VILA_CHECK(sizes.prompt_tokens + sizes.tokens + 1 <= positions, "[bench decode-batch] ",
               sizes.prompt_tokens, " tokens of the prompt and ", sizes.tokens + 1,
               " new ones: the model has ", positions, " positions; lower --max-tokens");
    std::vector<DecodeBatchMeasurement> measurements;
    for (const int64_t sequences : sizes.batches)
        measurements.push_back(measure(device, model, sizes, sequences, repetitions));
    return measurements;
}

std::string decode_batch_table(const std::vector<DecodeBatchMeasurement>& measurements) {
    std::string text;
    for (const DecodeBatchMeasurement& x : measurements) {
        char line[200];
        if (text.empty()) {
            std::snprintf(line, sizeof(line),
                          "%s, %d thread%s\nsequences  tokens/s  limit, tokens/s  share  prompts\n",
                          dtype_name(x.dtype), x.threads, x.threads == 1 ? "" : "s");
            text = line;
        }
        std::snprintf(line, sizeof(line), "%9lld  %8.1f  %15.1f  %4.0f%%  %6.3f s\n",
                      static_cast<long long>(x.sequences), x.tokens_per_second, x.limit,
                      x.limit_share * 100.0, x.prompt_seconds);
        text += line;
    }
    return text;
}

Json decode_batch_json(const std::vector<DecodeBatchMeasurement>& measurements) {
    Json rows = Json::array();
    for (const DecodeBatchMeasurement& x : measurements)
        rows.push_back({{"dtype", dtype_name(x.dtype)},
                        {"threads", x.threads},
                        {"sequences", x.sequences},
                        {"tokens_per_second", x.tokens_per_second},
                        {"limit_tokens_per_second", x.limit},
                        {"share_of_weights_read", x.limit_share},
                        {"prompt_seconds", x.prompt_seconds}});
    return {{"decode_batch", rows}};
}

}  // namespace vila::tools
