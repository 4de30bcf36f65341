#include "models/config_fields.h"

#include <algorithm>
#include <cctype>
#include <limits>

#include "tensor/check.h"

namespace vila::models {

bool same_architecture(std::string_view a, std::string_view b) {
    return std::ranges::equal(
        a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

std::vector<int32_t> read_token_ids(const JsonFields& fields, const std::string& name) {
    constexpr auto kLargestId = std::numeric_limits<int32_t>::max();
    std::vector<int32_t> ids;
    if (!fields.has(name)) return ids;
    const Json& value = fields.raw(name);
    const Json list = value.is_array() ? value : Json::array({value});
    for (const Json& id : list) {
        const bool is_id = id.is_number_integer() && id >= -1 && id <= kLargestId;
        if (!is_id) fields.fail(name, "a token id or a list of them");
        ids.push_back(id.get<int32_t>());
    }
    return ids;
}

const Architectures& language_models() {
    static const Architectures kKnown = {{"llama", "LlamaForCausalLM"},
                                         {"qwen2", "Qwen2ForCausalLM"}};
    return kKnown;
}

const Architectures& vision_towers() {
    static const Architectures kKnown = {
        {"clip_vision_model", "CLIPVisionModel"},
        {"clip_vision_model", "CLIPVisionModelWithProjection"},
        {"siglip_vision_model", "SiglipVisionModel"},
        {"clip", "CLIPModel"},
        {"siglip", "SiglipModel"},
    };
    return kKnown;
}

std::string architecture_of(const JsonFields& fields, const Architectures& known,
                            const std::string& expected) {
    std::string list = expected;
    for (const auto& [type, architecture] : known)
        if (expected.empty()) list += str(list.empty() ? "" : ", ", architecture);
    if (fields.has("architectures") && fields.raw("architectures") != Json::array()) {
        const Json& names = fields.raw("architectures");
        if (!names.is_array() || !names[0].is_string())
            fields.fail("architectures", "a list with a name");
        const std::string name = names[0].get<std::string>();
        for (const auto& [type, architecture] : known)
            if (same_architecture(architecture, name)) return architecture;
        throw Error(
            str(fields.where(), ": architecture ", name, " is not implemented; expected ", list));
    }
    const std::string type_name = fields.text("model_type");
    for (const auto& [type, architecture] : known)
        if (type == type_name) return architecture;
    throw Error(
        str(fields.where(), ": model_type ", type_name, " is not implemented; expected ", list));
}

bool has_architecture_of(const JsonFields& fields, const Architectures& known) {
    try {
        architecture_of(fields, known);
        return true;
    } catch (const Error&) {
        return false;
    }
}

nn::InitRule read_init_rule(const JsonFields& fields, const std::string& name,
                            const nn::InitRule& fallback) {
    if (!fields.has(name)) return fallback;
    const Json& value = fields.raw(name);
    if (value.is_number()) return {nn::InitRule::Kind::Normal, fields.number_from_zero(name, 0.0)};
    if (value == "fan_in_normal") return {nn::InitRule::Kind::FanInNormal, 1.0};
    if (value == "fan_in_uniform") return {nn::InitRule::Kind::FanInUniform, 1.0};
    fields.fail(name, "a standard deviation, \"fan_in_normal\" or \"fan_in_uniform\"");
}

Json init_rule_json(const nn::InitRule& rule) {
    if (rule.kind == nn::InitRule::Kind::FanInNormal) return "fan_in_normal";
    if (rule.kind == nn::InitRule::Kind::FanInUniform) return "fan_in_uniform";
    return rule.scale;
}

const char* torch_dtype_name(DType dtype) {
    switch (dtype) {
        case DType::BF16:
            return "bfloat16";
        case DType::F16:
            return "float16";
        case DType::F64:
            return "float64";
        default:
            return "float32";
    }
}

}  // namespace vila::models
