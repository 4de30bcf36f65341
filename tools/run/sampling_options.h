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
        args.option("--max-tokens", max_tokens, "largest number of new tokens")
            ->check(CLI::PositiveNumber);
        args.option("--temperature", temperature,
                    "sampling temperature; 0 always takes the most likely token")
            ->check(CLI::NonNegativeNumber);
        args.option("--top-p", top_p,
                    "sample from the most likely tokens that together reach this "
                    "probability")
            ->check(CLI::Range(0.0, 1.0));
        args.option("--top-k", top_k,
                    "sample from this many of the most likely tokens; 0 means all")
            ->check(CLI::NonNegativeNumber);
        args.option("--repetition-penalty", repetition_penalty,
                    "above 1, tokens that have occurred become less likely")
            ->check(CLI::PositiveNumber);
        args.option("--min-tokens", min_tokens, "smallest number of new tokens")
            ->check(CLI::NonNegativeNumber);
        args.option("--stop", stops, "end the answer before this string; may be repeated");
    }
    models::GenerateOptions to_options(uint64_t seed) const {
        models::GenerateOptions options;
        options.max_tokens = max_tokens;
        options.sampling = {temperature, top_k, top_p, repetition_penalty, min_tokens, seed};
        return options;
    }
};

}  // namespace vila::tools
