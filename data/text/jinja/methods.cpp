// Methods of str and dict.

#include <algorithm>
#include <cctype>
#include <charconv>

#include "data/text/jinja/builtins.h"
#include "tensor/check.h"

namespace vila::data::jinja {

namespace {

constexpr std::string_view kBlanks = " \t\n\r\f\v";

std::string ascii_mapped(std::string text, int (*map)(int)) {
    for (char& c : text)
        if (static_cast<unsigned char>(c) < 0x80)
            c = static_cast<char>(map(static_cast<unsigned char>(c)));
    return text;
}

std::string titled(std::string text, bool every_word) {
    bool begins = true;
    for (char& c : text) {
        const auto byte = static_cast<unsigned char>(c);
        const bool is_letter = byte >= 0x80 || std::isalpha(byte) != 0;
        if (byte < 0x80) c = static_cast<char>(begins ? std::toupper(byte) : std::tolower(byte));
        begins = every_word && !is_letter;
    }
    return text;
}

// Python's strip: removes characters of `set` (blanks by default) at the ends that are asked for.
std::string stripped(std::string_view text, const Arguments& arguments, bool left, bool right) {
    const Value* given = arguments.find(0, "chars");
    const std::string set =
        given == nullptr || given->is_none() ? std::string(kBlanks) : given->as_text("strip");
    const auto in_set = [&](std::string_view character) {
        return set.find(character) != std::string::npos;
    };
    const std::vector<std::string_view> all = characters(text);
    size_t begin = 0, end = all.size();
    while (left && begin < end && in_set(all[begin])) ++begin;
    while (right && end > begin && in_set(all[end - 1])) --end;
    std::string out;
    for (size_t i = begin; i < end; ++i) out += all[i];
    return out;
}

List split(std::string_view text, const Arguments& arguments, bool from_right) {
    const Value* separator = arguments.find(0, "sep");
    const Value* maximum = arguments.find(1, "maxsplit");
    int64_t left = maximum == nullptr ? -1 : maximum->as_integer("split");
    List parts;
    if (separator == nullptr || separator->is_none()) {
        VILA_CHECK(!from_right, "rsplit() without a separator is not implemented");
        while (true) {
            const size_t begin = std::min(text.find_first_not_of(kBlanks), text.size());
            text.remove_prefix(begin);
            if (text.empty()) return parts;
            const size_t end =
                left == 0 ? text.find_last_not_of(kBlanks) + 1 : text.find_first_of(kBlanks);
            parts.emplace_back(text.substr(0, end));
            if (end == std::string_view::npos || left == 0) return parts;
            text.remove_prefix(end);
            --left;
        }
    }
    const std::string& by = separator->as_text("split");
    VILA_CHECK(!by.empty(), "split(): the separator is empty");
    while (left != 0) {
        const size_t at = from_right ? text.rfind(by) : text.find(by);
        if (at == std::string_view::npos) break;
        parts.emplace_back(from_right ? text.substr(at + by.size()) : text.substr(0, at));
        text = from_right ? text.substr(0, at) : text.substr(at + by.size());
        --left;
    }
    parts.emplace_back(text);
    if (from_right) std::reverse(parts.begin(), parts.end());
    return parts;
}

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

std::string joined(Runtime& runtime, const std::string& separator, const Value& list) {
    std::string out;
    bool first = true;
    for (const Value& element : list.elements()) {
        if (!first) out += separator;
        out += element.as_text("join()");
        first = false;
    }
    runtime.take(static_cast<int64_t>(out.size()));
    return out;
}

std::string replaced(Runtime& runtime, const std::string& text, const Arguments& arguments) {
    VILA_CHECK(arguments.positional.size() >= 2, "replace() takes two strings");
    const std::string& from = arguments.positional[0].as_text("replace()");
    const std::string& to = arguments.positional[1].as_text("replace()");
    const Value* count = arguments.find(2, "count");
    int64_t left = count == nullptr || count->is_none() ? -1 : count->as_integer("replace()");
    std::string out;
    size_t at = 0;
    const auto append = [&](std::string_view part) {
        runtime.take(static_cast<int64_t>(part.size()));
        out += part;
    };
    if (from.empty()) {
        for (const std::string_view character : characters(text)) {
            if (left-- != 0)
                append(to);
            else
                ++left;
            append(character);
        }
        if (left != 0) append(to);
        return out;
    }
    for (size_t found = text.find(from); found != std::string::npos && left != 0;
         found = text.find(from, at)) {
        append(std::string_view(text).substr(at, found - at));
        append(to);
        at = found + from.size();
        --left;
    }
    append(std::string_view(text).substr(at));
    return out;
}

int64_t find_text(const std::string& text, const Arguments& arguments) {
    const Value* part = arguments.find(0, "");
    VILA_CHECK(part != nullptr && arguments.positional.size() == 1, "find() takes one str");
    const size_t at = text.find(part->as_text("find()"));
    return at == std::string::npos ? -1
                                   : static_cast<int64_t>(characters(text.substr(0, at)).size());
}

int64_t count_text(const std::string& text, const Arguments& arguments) {
    const Value* part = arguments.find(0, "");
    VILA_CHECK(part != nullptr, "count() takes a str");
    const std::string& wanted = part->as_text("count()");
    VILA_CHECK(!wanted.empty(), "count(): the str is empty");
    int64_t count = 0;
    for (size_t at = text.find(wanted); at != std::string::npos;
         at = text.find(wanted, at + wanted.size()))
        ++count;
    return count;
}

// Python's str.format for {}, {0} and {name}, without conversions.
std::string formatted(std::string_view text, const Arguments& arguments) {
    std::string out;
    size_t next = 0;
    for (size_t at = 0; at < text.size(); ++at) {
        const bool is_double = at + 1 < text.size() && text[at + 1] == text[at];
        if (text[at] != '{' && text[at] != '}') {
            out += text[at];
        } else if (is_double) {
            out += text[at++];
        } else {
            const size_t end = text.find('}', at);
            VILA_CHECK(text[at] == '{' && end != std::string_view::npos, "format(): single '",
                       text.substr(at, 1), "'");
            const std::string_view field = text.substr(at + 1, end - at - 1);
            size_t index = 0;
            const bool is_index =
                std::from_chars(field.data(), field.data() + field.size(), index).ec == std::errc();
            const Value* value = field.empty() ? arguments.find(next++, "")
                                 : is_index    ? arguments.find(index, "")
                                               : find(arguments.keywords, field);
            VILA_CHECK(value != nullptr, "format(): no value for {", field, "}");
            out += value->to_string();
            at = end;
        }
    }
    return out;
}

using TextMethod = Value (*)(Runtime&, const std::string&, const Arguments&);

// The methods of str.
TextMethod text_method(std::string_view name) {
    static constexpr std::pair<std::string_view, TextMethod> kMethods[] = {
        {"strip",
         [](Runtime&, const std::string& text, const Arguments& a) -> Value {
             return stripped(text, a, true, true);
         }},
        {"lstrip",
         [](Runtime&, const std::string& text, const Arguments& a) -> Value {
             return stripped(text, a, true, false);
         }},
        {"rstrip",
         [](Runtime&, const std::string& text, const Arguments& a) -> Value {
             return stripped(text, a, false, true);
         }},
        {"split",
         [](Runtime&, const std::string& text, const Arguments& a) -> Value {
             return split(text, a, false);
         }},
        {"rsplit",
         [](Runtime&, const std::string& text, const Arguments& a) -> Value {
             return split(text, a, true);
         }},
        {"splitlines",
         [](Runtime&, const std::string& text, const Arguments&) -> Value {
             List lines = split(text, {{Value("\n")}, {}}, false);
             if (lines.back().text()->empty()) lines.pop_back();
             return lines;
         }},
        {"startswith",
         [](Runtime&, const std::string& text, const Arguments& a) -> Value {
             return has_affix(text, a, true);
         }},
        {"endswith",
         [](Runtime&, const std::string& text, const Arguments& a) -> Value {
             return has_affix(text, a, false);
         }},
        {"upper",
         [](Runtime&, const std::string& text, const Arguments&) -> Value {
             return ascii_mapped(text, std::toupper);
         }},
        {"lower",
         [](Runtime&, const std::string& text, const Arguments&) -> Value {
             return ascii_mapped(text, std::tolower);
         }},
        {"capitalize",
         [](Runtime&, const std::string& text, const Arguments&) -> Value {
             return titled(text, false);
         }},
        {"title",
         [](Runtime&, const std::string& text, const Arguments&) -> Value {
             return titled(text, true);
         }},
        {"replace",
         [](Runtime& runtime, const std::string& text, const Arguments& a) -> Value {
             return replaced(runtime, text, a);
         }},
        {"find",
         [](Runtime&, const std::string& text, const Arguments& a) -> Value {
             return find_text(text, a);
         }},
        {"count",
         [](Runtime&, const std::string& text, const Arguments& a) -> Value {
             return count_text(text, a);
         }},
        {"join",
         [](Runtime& runtime, const std::string& text, const Arguments& a) -> Value {
             VILA_CHECK(a.positional.size() == 1, "join() takes one list");
             return joined(runtime, text, a.positional[0]);
         }},
        {"format",
         [](Runtime&, const std::string& text, const Arguments& a) -> Value {
             return formatted(text, a);
         }},
        {"isdigit",
         [](Runtime&, const std::string& text, const Arguments&) -> Value {
             return !text.empty() && std::all_of(text.begin(), text.end(),
                                                 [](char c) { return c >= '0' && c <= '9'; });
         }},
    };
    for (const auto& [known, call] : kMethods)
        if (known == name) return call;
    return nullptr;
}

List pairs_of(const Dict& dict) {
    List pairs;
    for (const auto& [key, value] : dict) pairs.emplace_back(List{key, value});
    return pairs;
}

Value dict_method(Runtime& runtime, const Value& object, const std::string& name) {
    const auto made = [&](auto action) {
        return Callable{
            name, [object, action, &runtime](const Arguments& a) -> Value {
                runtime.take(static_cast<int64_t>(object.dict()->size() * sizeof(Value)));
                return action(*object.dict(), a);
            }};
    };
    if (name == "items")
        return made([](const Dict& dict, const Arguments&) -> Value { return pairs_of(dict); });
    if (name == "keys")
        return made([](const Dict& dict, const Arguments&) -> Value {
            List keys;
            for (const auto& [key, value] : dict) keys.emplace_back(key);
            return keys;
        });
    if (name == "values")
        return made([](const Dict& dict, const Arguments&) -> Value {
            List values;
            for (const auto& [key, value] : dict) values.push_back(value);
            return values;
        });
    if (name == "get")
        return made([](const Dict& dict, const Arguments& a) -> Value {
            VILA_CHECK(!a.positional.empty(), "get() takes a key");
            const Value& key = a.positional[0];
            const Value* found = find(dict, key);
            const Value* otherwise = a.find(1, "default");
            return found != nullptr ? *found : otherwise != nullptr ? *otherwise : Value();
        });
    return Undefined{name};
}

}  // namespace

Value method(Runtime& runtime, const Value& object, const std::string& name) {
    if (object.dict() != nullptr) return dict_method(runtime, object, name);
    const TextMethod call = object.is_string() ? text_method(name) : nullptr;
    if (call != nullptr)
        return Callable{name, [object, call, &runtime](const Arguments& a) {
                            runtime.take(static_cast<int64_t>(object.text()->size()));
                            return call(runtime, *object.text(), a);
                        }};
    return Undefined{object.type_name() + " object has no attribute '" + name + "'; it"};
}

}  // namespace vila::data::jinja
