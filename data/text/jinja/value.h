#pragma once

// The values of a Jinja template: the types of Python that chat templates use, printed as Python
// prints them. Copies of a value share its text or list, which never change.

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

// The value of a variable or member that does not exist: it prints as nothing, is false, and fails
// in most other uses. `name` says in errors what is missing.
struct Undefined {
    std::string name;
};

struct None {};

using List = std::vector<Value>;
// Members in insertion order, as in Python. Lookups are linear: dicts in templates are small.
using Dict = std::vector<std::pair<Value, Value>>;

// Positional and keyword arguments of a call. The keys of `keywords` are strings.
struct Arguments {
    List positional;
    Dict keywords;

    // Returns the argument at `position`, or the keyword argument `name`; null if neither is given.
    const Value* find(size_t position, std::string_view name) const;
};

// The object that namespace() makes: the only one whose members a template can assign.
struct Namespace {
    Dict members;
};

struct Callable {
    std::string name;
    std::function<Value(const Arguments&)> call;
};

// The type of a list in Python, which decides how it prints and which lists it equals.
enum class ListKind { List, Tuple, Items, Keys, Values, Range };

class Value {
  public:
    static constexpr int64_t kNodeBytes = 64;  // of a value without its text or elements

    using Storage =
        std::variant<Undefined, None, bool, int64_t, double, std::shared_ptr<const std::string>,
                     std::shared_ptr<const List>, std::shared_ptr<const Dict>,
                     std::shared_ptr<Namespace>, std::shared_ptr<const Callable>>;

    Value() : storage_(None{}) {}
    Value(Undefined undefined) : storage_(std::move(undefined)) {}
    Value(bool value) : storage_(value) {}
    Value(int64_t value) : storage_(value) {}
    Value(double value) : storage_(value) {}
    Value(std::string text);
    Value(std::string_view text) : Value(std::string(text)) {}
    Value(const char* text) : Value(std::string(text)) {}
    // Each throws Error if lists and dicts are nested more than kMaxDepth levels deep, or if the
    // value has more than kMaxBytes.
    Value(List list) : Value(std::move(list), ListKind::List) {}
    Value(List list, ListKind kind);
    Value(Dict dict);
    Value(std::shared_ptr<Namespace> space) : storage_(std::move(space)), holds_space_(true) {}
    Value(Callable callable) : storage_(std::make_shared<const Callable>(std::move(callable))) {}
    // Makes a method of `object`, which the function holds.
    Value(Callable callable, const Value& object) : Value(std::move(callable)) { include(object); }

    static Value from_json(const Json& json);

    bool is_undefined() const { return std::holds_alternative<Undefined>(storage_); }
    bool is_none() const { return std::holds_alternative<None>(storage_); }
    bool is_string() const { return text() != nullptr; }
    // Returns true for bool, int and float: a bool is a number in Python.
    bool is_number() const {
        return is_bool() || is_integer() || std::holds_alternative<double>(storage_);
    }
    bool is_bool() const { return std::holds_alternative<bool>(storage_); }
    bool is_integer() const { return std::holds_alternative<int64_t>(storage_); }
    bool is_float() const { return std::holds_alternative<double>(storage_); }

    // Each returns the contents of a value of this kind, else null.
    const std::string* text() const;
    const List* list() const;
    ListKind list_kind() const { return list_kind_; }
    const Dict* dict() const;
    Namespace* space() const;
    const Callable* callable() const;

    // Returns the name of what is missing; the value must be undefined.
    const std::string& missing_name() const { return std::get<Undefined>(storage_).name; }

    // Each throws Error "WHAT: expected TYPE, got TYPE" if the value is of another type.
    const std::string& as_text(std::string_view what) const;
    int64_t as_integer(std::string_view what) const;  // a bool counts as 0 or 1
    double as_double(std::string_view what) const;

    // Returns true for a namespace, and for a list or dict with one in it. Such values cannot be
    // members of a namespace, because it could then contain itself and would never be freed.
    bool holds_space() const { return holds_space_; }

    // Returns the memory of the value and of all values in it, in bytes; what occurs twice counts
    // twice. The text of the value has at most about four times as many bytes.
    int64_t bytes() const { return bytes_; }

    bool is_true() const;           // Python's bool(x)
    std::string to_string() const;  // Python's str(x)
    std::string repr() const;       // Python's repr(x): strings in quotes; throws for a namespace
    std::string type_name() const;  // "str", "list", ...

    bool operator==(const Value& other) const;
    // Returns Python's a < b; throws Error for types that cannot be compared.
    bool less(const Value& other) const;

  private:
    static constexpr int kMaxDepth = 100;
    static constexpr int64_t kMaxBytes = int64_t{1} << 30;

    // Counts the depth and bytes of an element of this value.
    void include(const Value& element);

    Storage storage_;
    int depth_ = 0;  // levels of lists and dicts
    int64_t bytes_ = kNodeBytes;
    bool holds_space_ = false;
    ListKind list_kind_ = ListKind::List;
};

// Returns the value under `key`, or null.
const Value* find(const Dict& dict, const Value& key);
// Replaces or appends the value under `key`.
void assign(Dict& dict, const Value& key, Value value);

// Returns the shortest text that reads back as `value`, as Python's repr writes it.
std::string double_text(double value);

// Returns the characters of UTF-8 text. A byte that is not valid UTF-8 is a character of its own.
std::vector<std::string_view> characters(std::string_view text);
int64_t count_characters(std::string_view text);

}  // namespace vila::data::jinja
