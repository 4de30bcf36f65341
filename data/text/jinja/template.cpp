#include "data/text/jinja/template.h"

#include "data/text/jinja/builtins.h"
#include "data/text/jinja/parser.h"
#include "tensor/check.h"
#include "tensor/json.h"

namespace vila::data::jinja {

Template::Template(std::string_view source, std::string where) : where_(std::move(where)) {
    constexpr size_t kMaxBytes = size_t{1} << 20;
    VILA_CHECK(source.size() <= kMaxBytes, where_, " has ", source.size(),
               " bytes: expected at most ", kMaxBytes);
    try {
        block_ = parse(source);
    } catch (const Error& error) {
        throw Error(str(where_, " ", error.what()));
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
        throw Error(str(where_, " line ", runtime.line, ": ", error.what()));
    }
    return std::move(runtime.output());
}

}  // namespace vila::data::jinja
