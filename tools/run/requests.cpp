#include "tools/run/requests.h"

#include "tools/base/json_lines.h"

namespace vila::tools {

namespace {

data::Role role_from_name(const std::string& name, const std::string& where) {
    const std::optional<data::Role> role = data::role_named(name);
    VILA_CHECK(role.has_value(), where, ": role \"", name,
               "\": expected system, user or assistant");
    return *role;
}

}  // namespace

std::string request_id(const Json& request) {
    const Json& id = request.at("id");
    return id.is_string() ? id.get<std::string>() : id.dump();
}

Prompt request_prompt(const LoadedModel& loaded, const Json& request, const std::string& where,
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
        for (const Json& message : request["messages"])
            messages.push_back({role_from_name(message.at("role").get<std::string>(), where),
                                message.at("content").get<std::string>()});
        prompt = loaded.chat_prompt(std::move(messages), images);
    }
    if (request.contains("target"))
        prompt = loaded.with_target(prompt, request["target"].get<std::string>());
    return prompt;
}

}  // namespace vila::tools
