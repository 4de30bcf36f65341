#pragma once

// The command-line options of sampling, shared by generate and chat.

#include "models/generate.h"
#include "tools/base/args.h"

namespace vila::tools {

struct SamplingOptions {
    int64_t max_tokens = 128;
    double temperature = 0.0;
    double top_p = 1.0;
    int64_t top_k = 0;
    double repetition_penalty = 1.0;
    int64_t min_tokens = 0;
    std::vector<std::string> stops;

    void declare(Args& args) {
        args.option("--max-tokens", max_tokens, "new tokens at most")->check(CLI::PositiveNumber);
        args.option("--temperature", temperature, "0: always the most probable token")
            ->check(CLI::NonNegativeNumber);
        args.option("--top-p", top_p, "keep the most probable tokens up to this share")
            ->check(CLI::Range(0.0, 1.0));
        args.option("--top-k", top_k, "keep that many of the most probable tokens; 0: all")
            ->check(CLI::NonNegativeNumber);
        args.option("--repetition-penalty", repetition_penalty,
                    "above 1: tokens that were there before become less probable")
            ->check(CLI::PositiveNumber);
        args.option("--min-tokens", min_tokens, "no end before that many tokens")
            ->check(CLI::NonNegativeNumber);
        args.option("--stop", stops, "end the answer before this text; may be repeated");
    }
    models::GenerateOptions to_options(uint64_t seed) const {
        models::GenerateOptions options;
        options.max_tokens = max_tokens;
        options.sampling = {temperature, top_k, top_p, repetition_penalty, min_tokens, seed};
        return options;
    }
};

}  // namespace vila::tools
