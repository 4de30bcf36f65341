#include "data/text/jinja/runtime.h"

#include <utility>

#include "tensor/check.h"

namespace vila::data::jinja {

void Runtime::step(int64_t bytes) {
    constexpr int64_t kBytesOfStep = 128;
    read_bytes_ += bytes;
    VILA_CHECK(++steps_ + read_bytes_ / kBytesOfStep <= limits_.steps,
               "the template takes more than ", limits_.steps, " steps");
}

void Runtime::take(int64_t bytes) {
    VILA_CHECK(bytes <= limits_.bytes - bytes_, "the template makes more than ", limits_.bytes,
               " bytes of text");
    bytes_ += bytes;
}

void Runtime::append(std::string& out, std::string_view part) {
    take(static_cast<int64_t>(part.size()));
    out += part;
}

std::string Runtime::text_of(const Value& value) {
    take(value.bytes());
    return value.to_string();
}

List Runtime::elements(const Value& value) {
    if (value.is_undefined()) return {};
    const List* list = value.list();
    const Dict* dict = value.dict();
    const std::string* text = value.text();
    VILA_CHECK(list != nullptr || dict != nullptr || text != nullptr, "cannot loop over ",
               value.type_name());
    const size_t size = list != nullptr   ? list->size()
                        : dict != nullptr ? dict->size()
                                          : static_cast<size_t>(count_characters(*text));
    take(static_cast<int64_t>(size) * Value::kNodeBytes * (text != nullptr ? 2 : 1));
    if (list != nullptr) return *list;
    List out;
    out.reserve(size);
    if (dict != nullptr) {
        for (const auto& [key, member] : *dict) out.push_back(key);
    } else {
        for (const std::string_view character : characters(*text)) out.emplace_back(character);
    }
    return out;
}

Runtime::Level::Level(Runtime& runtime) : runtime_(runtime) {
    VILA_CHECK(runtime_.levels_ < runtime_.limits_.levels, "the template is nested more than ",
               runtime_.limits_.levels, " levels deep");
    ++runtime_.levels_;
}

Runtime::Scope::Scope(Runtime& runtime, size_t parent) : runtime_(runtime) {
    runtime_.scopes_.push_back({{}, parent, ++runtime_.scopes_made_});
}

Runtime::MacroScope::MacroScope(Runtime& runtime, const Place& definition)
    : runtime_(runtime), scope_(runtime, definition.index) {
    const size_t outer = runtime_.scopes_.size() - 1;  // the scopes without the macro's own
    VILA_CHECK(
        definition.index < outer && runtime_.scopes_[definition.index].number == definition.number,
        "a macro is called outside the block in which it is defined");
    VILA_CHECK(runtime_.macros_ < runtime_.limits_.macros, "macros call each other more than ",
               runtime_.limits_.macros, " levels deep");
    ++runtime_.macros_;
}

Value Runtime::lookup(const std::string& name) const {
    for (size_t i = scopes_.size() - 1;; i = scopes_[i].parent) {
        const auto& values = scopes_[i].values;
        if (const auto found = values.find(name); found != values.end()) return found->second;
        if (i == 0) return Undefined{name};
    }
}

void Runtime::set(const std::string& name, Value value) {
    scopes_.back().values.insert_or_assign(name, std::move(value));
}

void Runtime::print(std::string_view text) {
    // Captured text is memory that the template makes; the rest is its output.
    if (captures_ > 0) take(static_cast<int64_t>(text.size()));
    VILA_CHECK(static_cast<int64_t>(output_.size() + text.size()) <= limits_.output,
               "the template prints more than ", limits_.output, " bytes");
    output_ += text;
}

}  // namespace vila::data::jinja
