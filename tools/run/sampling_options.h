#pragma once

// The command-line options for sampling, shared by `vila generate` and `vila chat`.

#include "models/generate.h"
#include "tools/base/args.h"
#include "tools/base/option_checks.h"

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
        args.option("--max-tokens", max_tokens, "maximum number of new tokens").positive();
        args.option("--temperature", temperature,
                    "sampling temperature; 0: always take the most likely token")
            .range(0.0, 100.0);
        args.option("--top-p", top_p,
                    "sample from the fewest most likely tokens that together have this "
                    "probability; 1: from all")
            .range(0.0, 1.0);
        args.option("--top-k", top_k,
                    "sample from this many of the most likely tokens; 0: from all")
            .non_negative();
        args.option("--repetition-penalty", repetition_penalty,
                    "values above 1 make tokens that have already occurred less likely")
            .positive();
        args.option("--min-tokens", min_tokens, "minimum number of new tokens").non_negative();
        args.option("--stop", stops, "end the answer before this string; may be repeated");
    }
    // Throws UsageError for options that would have no effect. Call it after args.parse().
    void check(const Args& args) const {
        if (temperature == 0.0)
            refuse_options(args, {"--top-p", "--top-k"},
                           "at --temperature 0, which takes the most likely token");
        if (top_p == 0.0) throw UsageError("--top-p: expected a number above 0, got 0");
        if (min_tokens > max_tokens)
            throw UsageError(
                str("--min-tokens ", min_tokens, " is more than --max-tokens, ", max_tokens));
    }
    models::GenerateOptions to_options(uint64_t seed) const {
        models::GenerateOptions options;
        options.max_tokens = max_tokens;
        options.sampling = {temperature, top_k, top_p, repetition_penalty, min_tokens, seed};
        return options;
    }
};

}  // namespace vila::tools
