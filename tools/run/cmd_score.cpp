// vila score: log probabilities of targets, and the most likely next tokens, for a file of
// requests.

#include <set>

#include "tensor/output_path.h"
#include "tensor/safetensors.h"
#include "tools/base/json_lines.h"
#include "tools/base/output.h"
#include "tools/base/output_guard.h"
#include "tools/base/progress.h"
#include "tools/base/text_input.h"
#include "tools/commands.h"
#include "tools/run/loaded_model.h"
#include "tools/run/requests.h"
#include "tools/run/score.h"
#include "tools/run/template_options.h"

namespace vila::tools {

namespace {

Json answer_line(const std::string& id, const Prompt& prompt, const Score& score) {
    Json top = Json::array();
    for (const auto& [token, logprob] : score.top) top.push_back({token, logprob});
    return {{"id", id},
            {"input_ids", prompt.ids},
            {"target_logprob", score.target_logprob},
            {"num_target_tokens", score.num_target_tokens},
            {"top", top}};
}

}  // namespace

int cmd_score(Args& args) {
    std::filesystem::path model_path, input, output, dump;
    TemplateOptions chat;
    CommonOptions common;
    args.option("--model", model_path, "model directory").required();
    args.option("--input", input, "file of requests, one JSON object per line; - is standard input")
        .required();
    args.option("--output", output,
                "file for the answers, one JSON object per line; - is standard output")
        .required();
    args.option("--dump", dump, "write logits and image features to this safetensors file");
    chat.declare(args);
    common.declare(args);
    args.footer(str(
        "Request:  {\"id\": \"a\", \"prompt\": \"raw text with <image>\", \"images\": "
        "[\"x.jpg\"],\n"
        "           \"target\": \"optional continuation\"}\n"
        "      or  {\"id\": \"a\", \"messages\": [{\"role\": \"user\", \"content\": \"...\"}], "
        "\"images\": [...]}\n"
        "          a content may be a list of parts: {\"type\": \"text\", \"text\": \"...\"},\n"
        "          {\"type\": \"image_url\", \"image_url\": {\"url\": \"x.jpg\"}}\n"
        "Answer:   {\"id\", \"input_ids\" (an image is ",
        kImageToken,
        "), \"target_logprob\", "
        "\"num_target_tokens\",\n           \"top\": [[token id, log probability], 5 of them]}, "
        "for "
        "the token after the whole sequence\n"
        "Dump:     ID.logits (T, V) over the sequence with images expanded, ID.image_features (n, "
        "N, C)"));
    args.parse();

    refuse_shared_stream({{"--output", output}, {"--dump", dump}});
    const OutputGuard outputs({{"--output", output}, {"--dump", dump}});
    outputs.check_input("--input", input);
    outputs.check_input("--model", model_path);
    chat.check_not_written(outputs);
    ResultFile answers(output);
    if (!dump.empty()) check_output_path(output_path(dump));
    LoadedModel loaded(model_path, common);
    chat.apply(loaded);
    std::vector<std::pair<std::string, Tensor>> dumped;
    std::set<std::string> names;
    Progress progress("score", count_lines(input));
    int64_t scored = 0;
    for_each_json_line(input, [&](const Json& request, const std::string& where) {
        const auto [name, prompt] = at_line(where, [&] {
            return std::pair(
                request_id(request),
                request_prompt(loaded.prompts(), request, {input.parent_path(), outputs, true}));
        });
        VILA_CHECK(dump.empty() || names.insert(name).second, where, ": a second request with id ",
                   name, ": --dump names tensors by id");
        const Score score = score_prompt(loaded.prompts(), prompt);
        answers.write(answer_line(name, prompt, score).dump() + "\n");
        progress.count(++scored);
        if (dump.empty()) return;
        const PromptTensors tensors = prompt_tensors(loaded.prompts(), prompt);
        dumped.emplace_back(name + ".logits", tensors.logits);
        if (tensors.image_features.defined())
            dumped.emplace_back(name + ".image_features", tensors.image_features);
    });
    if (!dump.empty()) write_safetensors(output_path(dump), dumped);
    answers.finish();
    return 0;
}

}  // namespace vila::tools
