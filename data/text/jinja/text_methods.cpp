#include "data/text/jinja/text_methods.h"

#include <algorithm>
#include <charconv>

#include "data/text/jinja/builtins.h"
#include "data/text/jinja/text_search.h"
#include "data/text/letter_case.h"
#include "tensor/check.h"
#include "tensor/json_scanner.h"

namespace vila::data::jinja {

namespace {

// The white space and the line ends of Python's str.
constexpr std::string_view kSpaces =
    " \t\n\r\f\v\x1c\x1d\x1e\x1f\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007"
    "\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000";
constexpr std::string_view kLineEnds = "\n\r\v\f\x1c\x1d\x1e\u0085\u2028\u2029";

// Returns whether `character` is one of `set`. A byte that is not valid UTF-8 is none, although it
// may be part of one.
bool is_one_of(std::string_view set, std::string_view character) {
    const bool is_valid = character.size() > 1 || static_cast<unsigned char>(character[0]) < 0x80;
    return is_valid && set.find(character) != std::string_view::npos;
}

// Each takes text that is not empty.
std::string_view first_character(std::string_view text) {
    return text.substr(0, std::max<size_t>(1, utf8_length(text, 0)));
}
std::string_view last_character(std::string_view text) {
    for (size_t bytes = std::min<size_t>(4, text.size()); bytes > 1; --bytes)
        if (utf8_length(text, text.size() - bytes) == bytes)
            return text.substr(text.size() - bytes);
    return text.substr(text.size() - 1);
}

// Removes characters at the ends that are asked for: white space, or those in the argument.
Value stripped(Runtime& runtime, std::string_view text, const Arguments& arguments, bool left,
               bool right) {
    const Value* given = arguments.find(0, "chars");
    const std::string_view set =
        given == nullptr || given->is_none() ? kSpaces : std::string_view(given->as_text("strip"));
    if (set != kSpaces) runtime.step(search_cost(text, set));
    while (left && !text.empty() && is_one_of(set, first_character(text)))
        text.remove_prefix(first_character(text).size());
    while (right && !text.empty() && is_one_of(set, last_character(text)))
        text.remove_suffix(last_character(text).size());
    runtime.take(static_cast<int64_t>(text.size()));
    return text;
}

void add_part(Runtime& runtime, List& parts, std::string_view part) {
    runtime.take(2 * Value::kNodeBytes + static_cast<int64_t>(part.size()));
    parts.emplace_back(part);
}

// Returns the words of `text`; the last is the rest of the text after `most` splits.
List words(Runtime& runtime, std::string_view text, int64_t most) {
    const auto begins_with_space = [&] { return is_one_of(kSpaces, first_character(text)); };
    List parts;
    while (true) {
        while (!text.empty() && begins_with_space())
            text.remove_prefix(first_character(text).size());
        if (text.empty()) return parts;
        const std::string_view rest = text;
        while (!text.empty() && (most == 0 || !begins_with_space()))
            text.remove_prefix(first_character(text).size());
        add_part(runtime, parts, rest.substr(0, rest.size() - text.size()));
        --most;
    }
}

Value split(Runtime& runtime, std::string_view text, const Arguments& arguments, bool from_right) {
    const Value* separator = arguments.find(0, "sep");
    const Value* maximum = arguments.find(1, "maxsplit");
    const int64_t given = maximum == nullptr ? -1 : maximum->as_integer("split()");
    int64_t most = given < 0 ? static_cast<int64_t>(text.size()) + 1 : given;
    if (separator == nullptr || separator->is_none()) {
        VILA_CHECK(!from_right || given < 0,
                   "rsplit() without a separator, but with a number, is not implemented");
        return words(runtime, text, most);
    }
    const std::string& by = separator->as_text("split()");
    VILA_CHECK(!by.empty(), "split(): the separator is empty");
    runtime.step(search_cost(text, by));
    List parts;
    for (; most > 0; --most) {
        const size_t at = from_right ? text.rfind(by) : text.find(by);
        if (at == std::string_view::npos) break;
        add_part(runtime, parts, from_right ? text.substr(at + by.size()) : text.substr(0, at));
        text = from_right ? text.substr(0, at) : text.substr(at + by.size());
    }
    add_part(runtime, parts, text);
    if (from_right) std::reverse(parts.begin(), parts.end());
    return parts;
}

Value split_lines(Runtime& runtime, std::string_view text, const Arguments& arguments) {
    const Value* keep = arguments.find(0, "keepends");
    const bool keeps_ends = keep != nullptr && keep->is_true();
    List lines;
    size_t begin = 0;
    for (size_t at = 0; at < text.size();) {
        const std::string_view character = first_character(text.substr(at));
        const size_t end = at;
        at += text.substr(at).starts_with("\r\n") ? 2 : character.size();
        if (!is_one_of(kLineEnds, character)) continue;
        add_part(runtime, lines, text.substr(begin, (keeps_ends ? at : end) - begin));
        begin = at;
    }
    if (begin < text.size()) add_part(runtime, lines, text.substr(begin));
    return lines;
}

Value joined(Runtime& runtime, const std::string& separator, const Arguments& arguments) {
    VILA_CHECK(arguments.positional.size() == 1, "join() takes one list");
    std::string out;
    bool first = true;
    for (const Value& element : runtime.elements(arguments.positional[0])) {
        if (!first) runtime.append(out, separator);
        runtime.append(out, element.as_text("join()"));
        first = false;
    }
    return out;
}

// Puts `to` in front of the first `most` characters, and at the end if `most` is larger.
std::string interleaved(Runtime& runtime, std::string_view text, std::string_view to,
                        int64_t most) {
    std::string out;
    for (; !text.empty(); text.remove_prefix(first_character(text).size())) {
        if (most-- > 0) runtime.append(out, to);
        runtime.append(out, first_character(text));
    }
    if (most > 0) runtime.append(out, to);
    return out;
}

Value replaced(Runtime& runtime, std::string_view text, const Arguments& arguments) {
    VILA_CHECK(arguments.positional.size() >= 2, "replace() takes two strings");
    const std::string& from = arguments.positional[0].as_text("replace()");
    const std::string& to = arguments.positional[1].as_text("replace()");
    const Value* count = arguments.find(2, "count");
    const int64_t given =
        count == nullptr || count->is_none() ? -1 : count->as_integer("replace()");
    int64_t most = given < 0 ? static_cast<int64_t>(text.size()) + 1 : given;
    if (from.empty()) return interleaved(runtime, text, to, most);
    runtime.step(search_cost(text, from));
    std::string out;
    for (; most > 0; --most) {
        const size_t at = text.find(from);
        if (at == std::string_view::npos) break;
        runtime.append(out, text.substr(0, at));
        runtime.append(out, to);
        text.remove_prefix(at + from.size());
    }
    runtime.append(out, text);
    return out;
}

// Returns the argument for the field {}, {0} or {name} of a format.
const Value& field_value(std::string_view field, size_t& next, const Arguments& arguments) {
    size_t index = 0;
    const char* end = field.data() + field.size();
    const auto parsed = std::from_chars(field.data(), end, index);
    const bool is_index = parsed.ec == std::errc() && parsed.ptr == end;
    const Value* value = field.empty() ? arguments.find(next++, "")
                         : is_index    ? arguments.find(index, "")
                                       : arguments.find(arguments.positional.size(), field);
    VILA_CHECK(value != nullptr, "format(): no value for {", field, "}");
    return *value;
}

// Python's str.format without conversions and format specifications.
Value formatted(Runtime& runtime, std::string_view text, const Arguments& arguments) {
    std::string out;
    size_t next = 0;
    for (size_t at = 0; at < text.size(); ++at) {
        const bool is_double = at + 1 < text.size() && text[at + 1] == text[at];
        if (text[at] != '{' && text[at] != '}') {
            runtime.append(out, text.substr(at, 1));
        } else if (is_double) {
            runtime.append(out, text.substr(at++, 1));
        } else {
            const size_t end = text.find('}', at);
            VILA_CHECK(text[at] == '{' && end != std::string_view::npos, "format(): single '",
                       text.substr(at, 1), "'");
            out += runtime.text_of(field_value(text.substr(at + 1, end - at - 1), next, arguments));
            at = end;
        }
    }
    return out;
}

// Returns `text` with its case mapped. The result has at most three times as many bytes.
Value in_case(Runtime& runtime, std::string_view text, std::string (*map)(std::string_view)) {
    runtime.take(3 * static_cast<int64_t>(text.size()));
    return map(text);
}

struct TextMethod {
    std::string_view name;
    size_t most_arguments;
    Value (*call)(Runtime&, const std::string&, const Arguments&);
};

using R = Runtime;
using S = const std::string;
using A = const Arguments;

constexpr TextMethod kMethods[] = {
    {"strip", 1, [](R& r, S& s, A& a) { return stripped(r, s, a, true, true); }},
    {"lstrip", 1, [](R& r, S& s, A& a) { return stripped(r, s, a, true, false); }},
    {"rstrip", 1, [](R& r, S& s, A& a) { return stripped(r, s, a, false, true); }},
    {"split", 2, [](R& r, S& s, A& a) { return split(r, s, a, false); }},
    {"rsplit", 2, [](R& r, S& s, A& a) { return split(r, s, a, true); }},
    {"splitlines", 1, [](R& r, S& s, A& a) { return split_lines(r, s, a); }},
    {"startswith", 1, [](R&, S& s, A& a) { return Value(has_affix(s, a, true)); }},
    {"endswith", 1, [](R&, S& s, A& a) { return Value(has_affix(s, a, false)); }},
    {"removeprefix", 1, [](R& r, S& s, A& a) { return without_affix(r, s, a, true); }},
    {"removesuffix", 1, [](R& r, S& s, A& a) { return without_affix(r, s, a, false); }},
    {"upper", 0, [](R& r, S& s, A&) { return in_case(r, s, upper_case); }},
    {"lower", 0, [](R& r, S& s, A&) { return in_case(r, s, lower_case); }},
    {"capitalize", 0, [](R& r, S& s, A&) { return in_case(r, s, capitalized); }},
    {"title", 0, [](R& r, S& s, A&) { return in_case(r, s, title_case); }},
    {"replace", 3, [](R& r, S& s, A& a) { return replaced(r, s, a); }},
    {"find", 3, [](R& r, S& s, A& a) { return find_text(r, s, a, false); }},
    {"rfind", 3, [](R& r, S& s, A& a) { return find_text(r, s, a, true); }},
    {"index", 3, [](R& r, S& s, A& a) { return index_of_text(r, s, a, false); }},
    {"rindex", 3, [](R& r, S& s, A& a) { return index_of_text(r, s, a, true); }},
    {"count", 1, [](R& r, S& s, A& a) { return count_text(r, s, a); }},
    {"partition", 1, [](R& r, S& s, A& a) { return partitioned(r, s, a, false); }},
    {"rpartition", 1, [](R& r, S& s, A& a) { return partitioned(r, s, a, true); }},
    {"ljust", 2, [](R& r, S& s, A& a) { return padded(r, s, a, Side::Left); }},
    {"rjust", 2, [](R& r, S& s, A& a) { return padded(r, s, a, Side::Right); }},
    {"center", 2, [](R& r, S& s, A& a) { return padded(r, s, a, Side::Both); }},
    {"join", 1, joined},
    {"format", 255, [](R& r, S& s, A& a) { return formatted(r, s, a); }},
    {"isdigit", 0,
     [](R&, S& s, A&) {
         return Value(!s.empty() &&
                      std::all_of(s.begin(), s.end(), [](char c) { return c >= '0' && c <= '9'; }));
     }},
};

const TextMethod* find_method(std::string_view name) {
    for (const TextMethod& method : kMethods)
        if (method.name == name) return &method;
    return nullptr;
}

}  // namespace

std::string titled_words(std::string_view text) {
    const auto separates = [](std::string_view character) {
        return is_one_of("-({[<", character) || is_one_of(kSpaces, character);
    };
    std::string out;
    while (!text.empty()) {
        const std::string_view first = first_character(text);
        if (separates(first)) {
            out += first;
            text.remove_prefix(first.size());
            continue;
        }
        size_t end = first.size();
        while (end < text.size() && !separates(first_character(text.substr(end))))
            end += first_character(text.substr(end)).size();
        out += upper_case(first);
        out += lower_case(text.substr(first.size(), end - first.size()));
        text.remove_prefix(end);
    }
    return out;
}

bool is_text_method(std::string_view name) {
    return find_method(name) != nullptr;
}

Value call_text_method(Runtime& runtime, std::string_view name, const std::string& text,
                       const Arguments& arguments) {
    const TextMethod* method = find_method(name);
    VILA_CHECK(method != nullptr, "str has no method ", name, "()");
    VILA_CHECK(arguments.positional.size() + arguments.keywords.size() <= method->most_arguments,
               name, "() takes at most ", method->most_arguments, " arguments here");
    runtime.step(static_cast<int64_t>(text.size()));
    return method->call(runtime, text, arguments);
}

}  // namespace vila::data::jinja
