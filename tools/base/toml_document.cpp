#include "tools/base/toml_document.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>

#include "tensor/check.h"
#include "tools/base/text_input.h"

// toml++ reads, copies and frees nested values by recursion; see also kMostNames.
#define TOML_MAX_NESTED_VALUES 64
// toml++ only asserts that a '[' is followed by a key. This macro throws an error instead of ending
// the program.
#define TOML_ASSERT(condition) \
    (static_cast<bool>(condition) ? static_cast<void>(0) : vila::tools::refuse_toml())
namespace vila::tools {
[[noreturn]] static void refuse_toml() {
    throw Error("not valid TOML: expected a key or the name of a table");
}
}  // namespace vila::tools
#include <toml++/toml.h>

namespace vila::tools {

namespace {

// Most names in one dotted key or table header.
constexpr int kMostNames = 32;

// Throws if a key or a table header has more names than kMostNames. It counts the dots outside of
// strings and comments up to the next separator, in values too, which have at most one.
class KeyDepthCheck {
  public:
    KeyDepthCheck(std::string_view text, const std::string& name) : text_(text), name_(name) {}

    void run() {
        while (at_ < text_.size()) {
            const char c = text_[at_];
            if (c == '"' || c == '\'')
                skip_string(c);
            else if (c == '#')
                at_ = std::min(text_.find('\n', at_), text_.size());
            else
                count(c);
        }
    }

  private:
    void count(char c) {
        ++at_;
        if (c == '\n') ++line_;
        if (std::string_view("\n=,[]{}").find(c) != std::string_view::npos) names_ = 1;
        if (c != '.') return;
        VILA_CHECK(++names_ <= kMostNames, name_, ":", line_, ": a key of more than ", kMostNames,
                   " names joined by dots");
    }

    // A string on one line whose quote is missing ends with the line; toml++ refuses it.
    void skip_string(char quote) {
        const std::string three(3, quote);
        const bool is_long = text_.substr(at_).starts_with(three);
        const std::string end = is_long ? three : std::string(1, quote);
        for (at_ += end.size(); at_ < text_.size(); ++at_) {
            if (text_.substr(at_).starts_with(end)) break;
            if (text_[at_] == '\n' && !is_long) return;
            if (text_[at_] == '\\' && quote == '"') ++at_;
            if (at_ < text_.size() && text_[at_] == '\n') ++line_;
        }
        at_ = std::min(at_ + end.size(), text_.size());
    }

    std::string_view text_;
    const std::string& name_;
    size_t at_ = 0;
    int64_t line_ = 1;
    int names_ = 1;
};

std::string child_path(const std::string& path, std::string_view key) {
    return path.empty() ? std::string(key) : path + "." + std::string(key);
}

// Copies a TOML tree into JSON and records the line of every value.
class Converter {
  public:
    explicit Converter(TomlDocument& document) : document_(document) {}

    Json convert(const toml::node& node, const std::string& path) {
        const auto line = node.source().begin.line;
        if (line > 0) document_.places[path] = str(document_.file, ":", line);
        if (const toml::table* table = node.as_table()) return convert_table(*table, path);
        if (const toml::array* array = node.as_array()) {
            Json values = Json::array();
            for (const toml::node& element : *array)
                values.push_back(convert(element, str(path, "[", values.size(), "]")));
            return values;
        }
        if (const auto* text = node.as_string()) return text->get();
        if (const auto* integer = node.as_integer()) return integer->get();
        if (const auto* number = node.as_floating_point()) return number->get();
        if (const auto* boolean = node.as_boolean()) return boolean->get();
        throw Error(
            str(document_.place(path), ": ", path,
                ": expected a string, number, boolean, array or table, not a date or time"));
    }

    Json convert_table(const toml::table& table, const std::string& path) {
        Json values = Json::object();
        for (const auto& [key, value] : table) {
            const std::string child = child_path(path, key.str());
            values[std::string(key.str())] = convert(value, child);
            if (key.source().begin.line > 0)
                document_.places[child] = str(document_.file, ":", key.source().begin.line);
        }
        return values;
    }

  private:
    TomlDocument& document_;
};

// Forgets the places and override texts of everything below `path`, which is about to be replaced.
template <typename Value>
void forget_below(std::map<std::string, Value>& values, const std::string& path) {
    std::erase_if(values, [&](const auto& entry) {
        const std::string& key = entry.first;
        return key.size() > path.size() && key.starts_with(path) &&
               (key[path.size()] == '.' || key[path.size()] == '[');
    });
}

// "data.sources[0].weight" and "data.sources.0.weight" -> data, sources, 0, weight.
std::vector<std::string> split_path(const std::string& path) {
    std::vector<std::string> parts(1);
    for (const char c : path) {
        if (c == '.' || c == '[')
            parts.emplace_back();
        else if (c != ']')
            parts.back() += c;
    }
    return parts;
}

size_t array_index(const Json& array, const std::string& part, const std::string& path,
                   const std::string& assignment) {
    size_t index = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), index);
    VILA_CHECK(error == std::errc() && end == part.data() + part.size() && index < array.size(),
               "override ", assignment, ": ", path, " has elements 0 to ",
               static_cast<int64_t>(array.size()) - 1, ", not '", part, "'");
    return index;
}

Json override_value(const std::string& text) {
    try {
        TomlDocument parsed = parse_toml("value = " + text + "\n", "override");
        if (parsed.root.size() == 1) return parsed.root["value"];
    } catch (const Error&) {
    }
    return text;
}

std::string number_text(double value) {
    if (std::isnan(value)) return "nan";
    if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
    char buffer[64];
    const auto result = std::to_chars(buffer, buffer + sizeof(buffer), value);
    std::string text(buffer, result.ptr);
    // In TOML, a point or an exponent makes a number a float.
    if (text.find_first_of(".e") == std::string::npos) text += ".0";
    return text;
}

std::string key_text(const std::string& key) {
    constexpr std::string_view kBare =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    const bool bare = !key.empty() && key.find_first_not_of(kBare) == std::string::npos;
    return bare ? key : Json(key).dump();
}

}  // namespace

std::string TomlDocument::place(const std::string& path) const {
    std::string known = path;
    while (true) {
        const auto found = places.find(known);
        if (found != places.end()) return found->second;
        const size_t cut = known.find_last_of(".[");
        if (cut == std::string::npos) return file;
        known.resize(cut);
    }
}

TomlDocument read_toml(const std::string& file) {
    return parse_toml(read_text(file), input_name(file));
}

TomlDocument parse_toml(const std::string& text, const std::string& name) {
    TomlDocument document;
    document.file = name;
    KeyDepthCheck(text, name).run();
    toml::table table;
    try {
        table = toml::parse(text, name);
    } catch (const toml::parse_error& error) {
        throw Error(str(name, ":", error.source().begin.line, ": ", error.description()));
    } catch (const Error& error) {
        throw Error(str(name, ": ", error.what()));
    }
    document.root = Converter(document).convert_table(table, "");
    return document;
}

std::string apply_override(TomlDocument& document, const std::string& assignment,
                           const std::function<Json(const std::string& path)>& missing) {
    const size_t equals = assignment.find('=');
    if (equals == std::string::npos || equals == 0)
        throw UsageError(str("'", assignment, "' is not an override: expected key=value"));
    const std::vector<std::string> parts = split_path(assignment.substr(0, equals));
    if (parts.size() > kMostNames)
        throw UsageError(str("'", assignment, "': a key of more than ", kMostNames, " names"));
    Json* node = &document.root;
    std::string path;
    for (const std::string& part : parts) {
        // "part.[0]" and a trailing dot yield empty names.
        if (part.empty()) throw UsageError(str("'", assignment, "': an empty name in the key"));
        if (node->is_null()) *node = missing(path);
        if (node->is_array()) {
            const size_t index = array_index(*node, part, path, assignment);
            node = &(*node)[index];
            path += str("[", index, "]");
            continue;
        }
        if (node->is_null()) *node = Json::object();
        VILA_CHECK(node->is_object(), "override ", assignment, ": ", path, " is not a table");
        node = &(*node)[part];
        path = child_path(path, part);
    }
    const std::string text = assignment.substr(equals + 1);
    *node = override_value(text);
    forget_below(document.places, path);
    forget_below(document.override_texts, path);
    document.override_texts[path] = text;
    document.places[path] = "override " + assignment;
    return path;
}

std::string toml_text(const Json& value) {
    if (value.is_number_float()) return number_text(value.get<double>());
    if (value.is_array()) {
        std::string text = "[";
        for (const Json& element : value)
            text += (text.size() > 1 ? ", " : "") + toml_text(element);
        return text + "]";
    }
    if (value.is_object()) {
        std::string text = "{";
        for (const auto& [key, element] : value.items())
            text += (text.size() > 1 ? ", " : " ") + key_text(key) + " = " + toml_text(element);
        return text + (text.size() > 1 ? " }" : "}");
    }
    VILA_CHECK(!value.is_null(), "a TOML value cannot be null");
    return value.dump();  // TOML and JSON write strings, integers and booleans alike
}

}  // namespace vila::tools
