#include "data/text/jinja/text_search.h"

#include <algorithm>

#include "data/text/jinja/builtins.h"
#include "tensor/check.h"

namespace vila::data::jinja {

namespace {

// Returns the argument of a method that takes a text first.
const std::string& text_argument(const Arguments& arguments, std::string_view name) {
    VILA_CHECK(!arguments.positional.empty(), name, " takes a str");
    return arguments.positional[0].as_text(name);
}

size_t place_of(std::string_view text, std::string_view part, bool from_right) {
    return from_right ? text.rfind(part) : text.find(part);
}

Value tuple_of(Runtime& runtime, std::string_view a, std::string_view b, std::string_view c) {
    runtime.take(4 * Value::kNodeBytes + static_cast<int64_t>(a.size() + b.size() + c.size()));
    return {List{a, b, c}, ListKind::Tuple};
}

}  // namespace

bool has_affix(const std::string& text, const Arguments& arguments, bool at_start) {
    const Value* affix = arguments.find(0, "");
    VILA_CHECK(affix != nullptr, "startswith() and endswith() take a str");
    const auto fits = [&](const Value& one) {
        const std::string& part = one.as_text("startswith() and endswith()");
        return at_start ? text.starts_with(part) : text.ends_with(part);
    };
    if (affix->list() == nullptr) return fits(*affix);
    return std::any_of(affix->list()->begin(), affix->list()->end(), fits);
}

Value without_affix(Runtime& runtime, std::string_view text, const Arguments& arguments,
                    bool at_start) {
    const std::string& affix = text_argument(arguments, "removeprefix() and removesuffix()");
    if (at_start && text.starts_with(affix)) text.remove_prefix(affix.size());
    if (!at_start && text.ends_with(affix)) text.remove_suffix(affix.size());
    runtime.take(static_cast<int64_t>(text.size()));
    return text;
}

Value find_text(Runtime& runtime, std::string_view text, const Arguments& arguments,
                bool from_right) {
    const std::string& part = text_argument(arguments, "find()");
    runtime.step(search_cost(text, part));
    const auto limit = [&](size_t position) {
        return position < arguments.positional.size() ? arguments.positional[position] : Value();
    };
    int64_t begin = 0;
    if (arguments.positional.size() > 1) {
        const int64_t size = count_characters(text);
        const int64_t first = limit(1).is_none() ? 0 : limit(1).as_integer("find()");
        begin = first < 0 ? std::max<int64_t>(0, first + size) : first;
        if (begin > size) return int64_t{-1};
    }
    const Value within = slice(runtime, text, limit(1), limit(2), Value());
    const size_t at = place_of(*within.text(), part, from_right);
    if (at == std::string::npos) return int64_t{-1};
    return begin + count_characters(std::string_view(*within.text()).substr(0, at));
}

Value index_of_text(Runtime& runtime, std::string_view text, const Arguments& arguments,
                    bool from_right) {
    const Value place = find_text(runtime, text, arguments, from_right);
    VILA_CHECK(place.as_integer("") >= 0, "index(): the substring is not found");
    return place;
}

Value count_text(Runtime& runtime, std::string_view text, const Arguments& arguments) {
    const std::string& part = text_argument(arguments, "count()");
    if (part.empty()) return count_characters(text) + 1;
    runtime.step(search_cost(text, part));
    int64_t count = 0;
    for (size_t at = text.find(part); at != std::string_view::npos;
         at = text.find(part, at + part.size()))
        ++count;
    return count;
}

Value partitioned(Runtime& runtime, std::string_view text, const Arguments& arguments,
                  bool from_right) {
    const std::string& by = text_argument(arguments, "partition()");
    VILA_CHECK(!by.empty(), "partition(): the separator is empty");
    runtime.step(search_cost(text, by));
    const size_t at = place_of(text, by, from_right);
    if (at != std::string_view::npos)
        return tuple_of(runtime, text.substr(0, at), by, text.substr(at + by.size()));
    return from_right ? tuple_of(runtime, "", "", text) : tuple_of(runtime, text, "", "");
}

Value padded(Runtime& runtime, std::string_view text, const Arguments& arguments, Side side) {
    VILA_CHECK(!arguments.positional.empty(), "ljust(), rjust() and center() take a width");
    const int64_t width = arguments.positional[0].as_integer("ljust(), rjust() and center()");
    const Value* given = arguments.find(1, "fillchar");
    const std::string fill = given == nullptr ? " " : given->as_text("ljust()");
    VILA_CHECK(count_characters(fill) == 1,
               "ljust(), rjust() and center() fill with one character");
    const int64_t missing = std::max<int64_t>(0, width - count_characters(text));
    // As Python: the odd space is on the left if the width is odd too.
    const int64_t before = side == Side::Left    ? 0
                           : side == Side::Right ? missing
                                                 : missing / 2 + (missing & width & 1);
    runtime.take(static_cast<int64_t>(text.size()));
    VILA_CHECK(missing < int64_t{1} << 40, "the template makes too much text");
    runtime.take(missing * static_cast<int64_t>(fill.size()));
    std::string out;
    for (int64_t i = 0; i < before; ++i) out += fill;
    out += text;
    for (int64_t i = before; i < missing; ++i) out += fill;
    return out;
}

}  // namespace vila::data::jinja
