#pragma once

// The values of a Jinja template: those of Python that chat templates use, with Python's text for
// them.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tensor/json_fwd.h"

namespace vila::data::jinja {

class Value;

// A name or member that does not exist: prints as nothing, is false, and fails when used further.
struct Undefined {
    std::string name;
};

struct None {};

using List = std::vector<Value>;
// In insertion order, like Python's dict.
using Dict = std::vector<std::pair<Value, Value>>;

// Positional and keyword arguments of a call.
struct Arguments {
    List positional;
    Dict keywords;

    // The argument at `position`, or the keyword `name`; null if neither is given.
    const Value* find(size_t position, std::string_view name) const;
};

// namespace(): the only object whose members a template can assign.
struct Namespace {
    Dict members;
};

struct Callable {
    std::string name;
    std::function<Value(const Arguments&)> call;
};

class Value {
  public:
    using Storage = std::variant<Undefined, None, bool, int64_t, double, std::string,
                                 std::shared_ptr<const List>, std::shared_ptr<const Dict>,
                                 std::shared_ptr<Namespace>, std::shared_ptr<const Callable>>;

    Value() : storage_(None{}) {}
    Value(Undefined undefined) : storage_(std::move(undefined)) {}
    Value(bool value) : storage_(value) {}
    Value(int64_t value) : storage_(value) {}
    Value(double value) : storage_(value) {}
    Value(std::string text) : storage_(std::move(text)) {}
    Value(std::string_view text) : storage_(std::string(text)) {}
    Value(const char* text) : storage_(std::string(text)) {}
    // Throw where lists and dicts would be nested more than kMaxDepth deep.
    Value(List list);
    Value(Dict dict);
    Value(std::shared_ptr<Namespace> space) : storage_(std::move(space)), holds_space_(true) {}
    Value(Callable callable) : storage_(std::make_shared<const Callable>(std::move(callable))) {}

    static Value from_json(const Json& json);

    bool is_undefined() const { return std::holds_alternative<Undefined>(storage_); }
    bool is_none() const { return std::holds_alternative<None>(storage_); }
    bool is_string() const { return std::holds_alternative<std::string>(storage_); }
    // bool, int and float, as in Python, where a bool is a number.
    bool is_number() const {
        return is_bool() || is_integer() || std::holds_alternative<double>(storage_);
    }
    bool is_bool() const { return std::holds_alternative<bool>(storage_); }
    bool is_integer() const { return std::holds_alternative<int64_t>(storage_); }
    bool is_float() const { return std::holds_alternative<double>(storage_); }

    const Storage& storage() const { return storage_; }
    // The contents if it is of that kind, else null.
    const std::string* text() const { return std::get_if<std::string>(&storage_); }
    const List* list() const;
    const Dict* dict() const;
    Namespace* space() const;
    const Callable* callable() const;

    // Each throws Error naming the kind of this value when it is of another.
    const std::string& as_text(std::string_view what) const;
    int64_t as_integer(std::string_view what) const;  // a bool counts as 0 or 1
    double as_double(std::string_view what) const;

    // A namespace, or a list or dict with one in it. Kept out of namespaces, which would hold
    // themselves.
    bool holds_space() const { return holds_space_; }

    bool is_true() const;           // Python's bool(x)
    std::string to_string() const;  // Python's str(x)
    std::string repr() const;       // Python's repr(x): strings in quotes
    std::string type_name() const;  // "str", "list", ...

    bool operator==(const Value& other) const;
    // Python's a < b; throws where the two cannot be compared.
    bool less(const Value& other) const;

    // The elements that a loop visits: of a list, the keys of a dict, the characters of a string;
    // nothing for an undefined value. Throws for other kinds.
    List elements() const;

  private:
    static constexpr int kMaxDepth = 100;

    void include(const Value& element);

    Storage storage_;
    int depth_ = 0;  // levels of lists and dicts
    bool holds_space_ = false;
};

// The value under `key`, or null.
const Value* find(const Dict& dict, const Value& key);
// Replaces or appends the value under `key`.
void assign(Dict& dict, const Value& key, Value value);

// The text of a double as Python's repr writes it: the shortest that reads back the same.
std::string double_text(double value);

// The characters of UTF-8 text, each as text.
std::vector<std::string_view> characters(std::string_view text);

}  // namespace vila::data::jinja
