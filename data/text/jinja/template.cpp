#include "data/text/jinja/template.h"

#include "data/text/jinja/builtins.h"
#include "data/text/jinja/parser.h"
#include "tensor/check.h"
#include "tensor/json.h"

namespace vila::data::jinja {

namespace {

// Cuts the text of an error, which may quote the template, to what fits on a few lines.
std::string shortened(std::string text) {
    size_t end = 240;  // bytes
    if (text.size() <= end) return text;
    while (end > 0 && (text[end] & 0xc0) == 0x80) --end;  // in front of a whole character
    return text.substr(0, end) + "...";
}

}  // namespace

Template::Template(std::string_view source, std::string where) : where_(std::move(where)) {
    constexpr size_t kMaxBytes = size_t{1} << 20;
    VILA_CHECK(source.size() <= kMaxBytes, where_, " has ", source.size(),
               " bytes: expected at most ", kMaxBytes);
    try {
        block_ = parse(source);
    } catch (const Error& error) {
        throw Error(str(where_, " ", shortened(error.what())));
    }
}

std::string Template::render(const Json& variables, const Limits& limits) const {
    Runtime runtime(limits);
    try {
        set_global_functions(runtime);
        for (const auto& [name, value] : variables.items())
            runtime.set(name, Value::from_json(value));
        run_block(block_, runtime);
    } catch (const Error& error) {
        throw Error(str(where_, " line ", runtime.line, ": ", shortened(error.what())));
    }
    return std::move(runtime.output());
}

}  // namespace vila::data::jinja
