#include "data/text/jinja/value.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <unordered_map>

#include "tensor/check.h"
#include "tensor/json.h"
#include "tensor/json_scanner.h"

namespace vila::data::jinja {

namespace {

std::string joined(const List& list) {
    std::string text;
    for (const Value& element : list) text += (text.empty() ? "" : ", ") + element.repr();
    return text;
}

std::string list_text(const List& list, ListKind kind) {
    switch (kind) {
        case ListKind::List:
            return "[" + joined(list) + "]";
        case ListKind::Tuple:
            return "(" + joined(list) + (list.size() == 1 ? ",)" : ")");
        case ListKind::Items:
            return "dict_items([" + joined(list) + "])";
        case ListKind::Keys:
            return "dict_keys([" + joined(list) + "])";
        case ListKind::Values:
            return "dict_values([" + joined(list) + "])";
        case ListKind::Range:
            throw Error("a range cannot be printed: make it a list with | list");
    }
    return "";
}

// Returns `text` in quotes, single ones if possible, with control characters escaped.
std::string python_quoted(std::string_view text) {
    const bool doubles =
        text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos;
    const char quote = doubles ? '"' : '\'';
    std::string out(1, quote);
    for (const char c : text) {
        if (c == '\n') {
            out += "\\n";
        } else if (c == '\t') {
            out += "\\t";
        } else if (c == '\r') {
            out += "\\r";
        } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
            constexpr char kDigits[] = "0123456789abcdef";
            out += {'\\', 'x', kDigits[c >> 4], kDigits[c & 15]};
        } else {
            if (c == quote || c == '\\') out += '\\';
            out += c;
        }
    }
    return out + quote;
}

// Returns whether each member of `a` is in `b`, for dicts of one size, in linear time.
bool has_equal_members(const Dict& a, const Dict& b) {
    const auto key_of = [](const Value& key) {  // equal numbers of all types have one text
        return key.is_number() ? double_text(key.as_double("")) : key.repr();
    };
    std::unordered_map<std::string, const Value*> members;
    for (const auto& [key, value] : b) members.emplace(key_of(key), &value);
    return std::all_of(a.begin(), a.end(), [&](const auto& member) {
        const auto match = members.find(key_of(member.first));
        return match != members.end() && member.second == *match->second;
    });
}

}  // namespace

const Value* find(const Dict& dict, const Value& key) {
    for (const auto& [name, value] : dict)
        if (name == key) return &value;
    return nullptr;
}

void assign(Dict& dict, const Value& key, Value value) {
    for (auto& [name, old] : dict)
        if (name == key) {
            old = std::move(value);
            return;
        }
    dict.emplace_back(key, std::move(value));
}

const Value* Arguments::find(size_t position, std::string_view name) const {
    if (position < positional.size()) return &positional[position];
    for (const auto& [given, value] : keywords)
        if (*given.text() == name) return &value;
    return nullptr;
}

void Value::include(const Value& element) {
    depth_ = std::max(depth_, element.depth_ + 1);
    bytes_ += element.bytes_;
    holds_space_ = holds_space_ || element.holds_space_;
    VILA_CHECK(depth_ <= kMaxDepth, "lists are nested more than ", kMaxDepth, " levels deep");
    VILA_CHECK(bytes_ <= kMaxBytes, "a value has more than ", kMaxBytes, " bytes");
}

Value::Value(std::string text)
    : storage_(std::make_shared<const std::string>(std::move(text))),
      bytes_(kNodeBytes + static_cast<int64_t>(this->text()->size())) {}

Value::Value(List list, ListKind kind) : depth_(1), list_kind_(kind) {
    for (const Value& element : list) include(element);
    storage_ = std::make_shared<const List>(std::move(list));
}

Value::Value(Dict dict) : depth_(1) {
    for (const auto& [key, element] : dict) {
        include(key);
        include(element);
    }
    storage_ = std::make_shared<const Dict>(std::move(dict));
}

Value Value::from_json(const Json& json) {
    switch (json.type()) {
        case Json::value_t::boolean:
            return json.get<bool>();
        case Json::value_t::number_unsigned:
            VILA_CHECK(json.get<uint64_t>() <= INT64_MAX, "a number is above 2^63 - 1");
            [[fallthrough]];
        case Json::value_t::number_integer:
            return json.get<int64_t>();
        case Json::value_t::number_float:
            return json.get<double>();
        case Json::value_t::string:
            return json.get<std::string>();
        case Json::value_t::array: {
            List list;
            for (const Json& element : json) list.push_back(from_json(element));
            return list;
        }
        case Json::value_t::object: {
            Dict dict;
            for (const auto& [key, member] : json.items())
                dict.emplace_back(key, from_json(member));
            return dict;
        }
        default:
            return {};
    }
}

const std::string* Value::text() const {
    const auto* text = std::get_if<std::shared_ptr<const std::string>>(&storage_);
    return text == nullptr ? nullptr : text->get();
}

const List* Value::list() const {
    const auto* list = std::get_if<std::shared_ptr<const List>>(&storage_);
    return list == nullptr ? nullptr : list->get();
}

const Dict* Value::dict() const {
    const auto* dict = std::get_if<std::shared_ptr<const Dict>>(&storage_);
    return dict == nullptr ? nullptr : dict->get();
}

Namespace* Value::space() const {
    const auto* space = std::get_if<std::shared_ptr<Namespace>>(&storage_);
    return space == nullptr ? nullptr : space->get();
}

const Callable* Value::callable() const {
    const auto* callable = std::get_if<std::shared_ptr<const Callable>>(&storage_);
    return callable == nullptr ? nullptr : callable->get();
}

std::string Value::type_name() const {
    static constexpr const char* kNames[] = {"undefined", "None", "bool", "int",       "float",
                                             "str",       "list", "dict", "namespace", "function"};
    static constexpr const char* kLists[] = {"list",      "tuple",       "dict_items",
                                             "dict_keys", "dict_values", "range"};
    if (list() != nullptr) return kLists[static_cast<size_t>(list_kind_)];
    return kNames[storage_.index()];
}

const std::string& Value::as_text(std::string_view what) const {
    VILA_CHECK(is_string(), what, ": expected str, got ", type_name());
    return *text();
}

int64_t Value::as_integer(std::string_view what) const {
    if (const auto* flag = std::get_if<bool>(&storage_)) return *flag ? 1 : 0;
    VILA_CHECK(is_integer(), what, ": expected int, got ", type_name());
    return std::get<int64_t>(storage_);
}

double Value::as_double(std::string_view what) const {
    if (const auto* number = std::get_if<double>(&storage_)) return *number;
    VILA_CHECK(is_number(), what, ": expected a number, got ", type_name());
    return static_cast<double>(as_integer(what));
}

bool Value::is_true() const {
    if (is_undefined() || is_none()) return false;
    if (is_float()) return std::get<double>(storage_) != 0.0;
    if (is_number()) return as_integer("") != 0;
    if (const std::string* own = text()) return !own->empty();
    if (const List* own = list()) return !own->empty();
    if (const Dict* own = dict()) return !own->empty();
    return true;
}

std::string double_text(double value) {
    if (std::isnan(value)) return "nan";
    if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
    // Python writes an exponent for 1e16 and above, and below 1e-4.
    const double size = std::fabs(value);
    const bool fixed = size == 0.0 || (size >= 1e-4 && size < 1e16);
    char text[64];
    const auto format = fixed ? std::chars_format::fixed : std::chars_format::scientific;
    const auto end = std::to_chars(text, text + sizeof(text), value, format).ptr;
    std::string out(text, end);
    if (fixed && out.find('.') == std::string::npos) out += ".0";
    return out;
}

std::string Value::to_string() const {
    if (is_undefined()) return "";
    if (const std::string* own = text()) return *own;
    return repr();
}

std::string Value::repr() const {
    if (is_undefined()) return "Undefined";
    if (is_none()) return "None";
    if (const auto* flag = std::get_if<bool>(&storage_)) return *flag ? "True" : "False";
    if (is_integer()) return std::to_string(std::get<int64_t>(storage_));
    if (is_float()) return double_text(std::get<double>(storage_));
    if (const std::string* own = text()) return python_quoted(*own);
    if (const List* own = list()) return list_text(*own, list_kind_);
    const auto* callable_value = callable();
    if (callable_value != nullptr) return "<function " + callable_value->name + ">";
    VILA_CHECK(space() == nullptr, "a namespace cannot be printed");
    std::string out;
    for (const auto& [key, value] : *dict())
        out += (out.empty() ? "" : ", ") + key.repr() + ": " + value.repr();
    return "{" + out + "}";
}

bool Value::operator==(const Value& other) const {
    if (is_number() && other.is_number()) {
        if (is_float() || other.is_float()) return as_double("") == other.as_double("");
        return as_integer("") == other.as_integer("");
    }
    if (storage_.index() != other.storage_.index()) return false;
    if (const std::string* own = text()) return *own == *other.text();
    if (const List* own = list()) return list_kind_ == other.list_kind_ && *own == *other.list();
    if (const Dict* own = dict())
        return own->size() == other.dict()->size() && has_equal_members(*own, *other.dict());
    if (space() != nullptr) return space() == other.space();
    if (callable() != nullptr) return callable() == other.callable();
    return true;
}

bool Value::less(const Value& other) const {
    if (is_number() && other.is_number()) {
        if (is_float() || other.is_float()) return as_double("") < other.as_double("");
        return as_integer("") < other.as_integer("");
    }
    // Bytes of UTF-8 are in the order of the characters.
    if (is_string() && other.is_string()) return *text() < *other.text();
    if (list() != nullptr && other.list() != nullptr && list_kind_ == other.list_kind_) {
        const List &a = *list(), &b = *other.list();
        for (size_t i = 0; i < a.size() && i < b.size(); ++i)
            if (!(a[i] == b[i])) return a[i].less(b[i]);
        return a.size() < b.size();
    }
    throw Error(str("cannot compare ", type_name(), " and ", other.type_name()));
}

std::vector<std::string_view> characters(std::string_view text) {
    std::vector<std::string_view> out;
    for (size_t at = 0; at < text.size(); at += out.back().size())
        out.push_back(text.substr(at, std::max<size_t>(1, utf8_length(text, at))));
    return out;
}

int64_t count_characters(std::string_view text) {
    int64_t count = 0;
    for (size_t at = 0; at < text.size(); ++count) at += std::max<size_t>(1, utf8_length(text, at));
    return count;
}

}  // namespace vila::data::jinja
