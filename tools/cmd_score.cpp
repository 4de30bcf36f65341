// vila score: log probabilities of targets and the best next tokens, one JSON line a request.

#include <cstdio>

#include "tensor/file.h"
#include "tensor/safetensors.h"
#include "tools/commands.h"
#include "tools/json_lines.h"
#include "tools/score.h"

namespace vila::tools {

namespace {

using nlohmann::json;

data::Role role_from_name(const std::string& name, const std::string& where) {
    if (name == "user") return data::Role::User;
    if (name == "assistant") return data::Role::Assistant;
    if (name == "system") return data::Role::System;
    throw Error(str(where, ": role \"", name, "\": expected system, user or assistant"));
}

// {"prompt": raw text} or {"messages": [...]}, with "images" relative to the request file.
Prompt prompt_of(const LoadedModel& loaded, const json& request, const std::string& where,
                 const std::filesystem::path& folder) {
    VILA_CHECK(request.contains("prompt") != request.contains("messages"), where,
               ": expected either \"prompt\" or \"messages\"");
    std::vector<std::string> images;
    for (const std::string& image : string_or_list(request, "images"))
        images.push_back((folder / image).string());
    Prompt prompt;
    if (request.contains("prompt")) {
        prompt = loaded.raw_prompt(request["prompt"].get<std::string>(), images);
    } else {
        std::vector<data::Message> messages;
        for (const json& message : request["messages"])
            messages.push_back({role_from_name(message.at("role").get<std::string>(), where),
                                message.at("content").get<std::string>()});
        prompt = loaded.chat_prompt(std::move(messages), images);
    }
    if (request.contains("target"))
        prompt = loaded.with_target(prompt, request["target"].get<std::string>());
    return prompt;
}

json answer_line(const std::string& id, const Prompt& prompt, const Score& score) {
    json top = json::array();
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
    CommonOptions common;
    args.option("--model", model_path, "model directory")->required();
    args.option("--input", input, "requests, one JSON object a line")->required();
    args.option("--output", output, "answers, one JSON object a line")->required();
    args.option("--dump", dump, "also write logits and image features to this safetensors file");
    common.declare(args);
    args.footer(
        "Request:  {\"id\": \"a\", \"prompt\": \"raw text with <image>\", \"images\": "
        "[\"x.jpg\"],\n"
        "           \"target\": \"optional continuation\"}\n"
        "      or  {\"id\": \"a\", \"messages\": [{\"role\": \"user\", \"content\": \"...\"}], "
        "\"images\": [...]}\n"
        "Answer:   {\"id\", \"input_ids\" (an image is -200), \"target_logprob\", "
        "\"num_target_tokens\",\n           \"top\": [[token id, log probability], 5 of them]}\n"
        "Dump:     ID.logits (T, V) over the sequence with images expanded, ID.image_features (n, "
        "N, C)");
    args.parse();

    const LoadedModel loaded(model_path, common);
    std::string lines;
    std::vector<std::pair<std::string, Tensor>> dumped;
    for_each_json_line(input, [&](const json& request, const std::string& where) {
        const json& id = request.at("id");
        const std::string name = id.is_string() ? id.get<std::string>() : id.dump();
        const Prompt prompt = prompt_of(loaded, request, where, input.parent_path());
        const Score score = score_prompt(loaded, prompt, !dump.empty());
        lines += answer_line(name, prompt, score).dump() + "\n";
        if (dump.empty()) return;
        dumped.emplace_back(name + ".logits", score.logits);
        if (score.image_features.defined())
            dumped.emplace_back(name + ".image_features", score.image_features);
    });
    if (!dump.empty()) write_safetensors(dump, dumped);
    write_file_atomic(output, lines);
    return 0;
}

}  // namespace vila::tools
