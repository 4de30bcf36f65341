#include "data/text/jinja/runtime.h"

#include <iterator>
#include <utility>

#include "tensor/check.h"

namespace vila::data::jinja {

void Runtime::step() {
    VILA_CHECK(++steps_ <= limits_.steps, "the template takes more than ", limits_.steps, " steps");
}

void Runtime::take(int64_t bytes) {
    VILA_CHECK(bytes <= limits_.bytes - bytes_, "the template makes more than ", limits_.bytes,
               " bytes of text");
    bytes_ += bytes;
}

Runtime::MacroScope::MacroScope(Runtime& runtime) : runtime_(runtime) {
    VILA_CHECK(runtime_.macros_ < runtime_.limits_.depth, "macros call each other more than ",
               runtime_.limits_.depth, " levels deep");
    ++runtime_.macros_;
    hidden_.assign(std::make_move_iterator(runtime_.scopes_.begin() + 1),
                   std::make_move_iterator(runtime_.scopes_.end()));
    runtime_.scopes_.resize(1);
}

Runtime::MacroScope::~MacroScope() {
    --runtime_.macros_;
    runtime_.scopes_.insert(runtime_.scopes_.end(), std::make_move_iterator(hidden_.begin()),
                            std::make_move_iterator(hidden_.end()));
}

Value Runtime::lookup(const std::string& name) const {
    for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope)
        if (const Value* value = find(*scope, name)) return *value;
    return Undefined{name};
}

void Runtime::set(const std::string& name, Value value) {
    assign(scopes_.back(), name, std::move(value));
}

void Runtime::print(std::string_view text) {
    VILA_CHECK(static_cast<int64_t>(output_.size() + text.size()) <= limits_.output,
               "the template prints more than ", limits_.output, " bytes");
    output_ += text;
}

}  // namespace vila::data::jinja
