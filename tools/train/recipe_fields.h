#pragma once

// The list of keys that a recipe may have, each bound to the member that holds its value. A key is
// declared once, with type, range and help; reading, printing and --help use the list.

#include <algorithm>
#include <array>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tensor/check.h"
#include "tools/base/toml_document.h"

namespace vila::tools {

struct RecipeField {
    std::string key;   // "optimizer.lr"
    std::string type;  // "a number from 0 to 1": for help and messages
    std::string help;
    bool may_change_on_resume = false;
    bool is_text = false;  // overrides are taken literally: name=2024 is "2024"
    std::function<void(const Json& value)> read;  // throws Error with the expected type
    std::function<Json()> value;                  // null: not set
};

// The allowed numbers: [min, max], or (min, max] if `above`. Both limits are finite, so NaN and
// infinity are never allowed.
struct Range {
    double min;
    double max;
    bool above = false;

    bool holds(double value) const { return (above ? value > min : value >= min) && value <= max; }
    // "from 0 to 1", "above 0 to 10".
    std::string text() const;
};

// Converts between JSON and a member or optional member.
template <typename T>
void read_member(T& member, const Json& value) {
    member = value.get<T>();
}
template <typename T>
void read_member(std::optional<T>& member, const Json& value) {
    member = value.get<T>();
}
template <typename T>
Json member_value(const T& member) {
    return member;
}
template <typename T>
Json member_value(const std::optional<T>& member) {
    return member ? Json(*member) : Json();
}

class FieldList {
  public:
    // Each function declares one key, bound to `member`: a T or std::optional<T>.
    template <typename Member>
    RecipeField& text(const std::string& key, Member& member, const std::string& help) {
        return as_text(
            add(key, "a string", help, member, [](const Json& v) { return v.is_string(); }));
    }
    template <typename Member>
    RecipeField& choice(const std::string& key, Member& member,
                        const std::vector<std::string>& choices, const std::string& help) {
        return as_text(add(key, one_of(choices), help, member, [choices](const Json& v) {
            return v.is_string() && std::find(choices.begin(), choices.end(), v) != choices.end();
        }));
    }
    // Relative paths are relative to `base` and are made absolute.
    RecipeField& path(const std::string& key, std::string& member, const std::string& help,
                      const std::filesystem::path& base);
    template <typename Member>
    RecipeField& integer(const std::string& key, Member& member, Range range,
                         const std::string& help) {
        return add(key, "an integer " + range.text(), help, member, [range](const Json& v) {
            return v.is_number_integer() && range.holds(v.get<double>());
        });
    }
    template <typename Member>
    RecipeField& number(const std::string& key, Member& member, Range range,
                        const std::string& help) {
        return add(key, "a number " + range.text(), help, member, [range](const Json& v) {
            return v.is_number() && range.holds(v.get<double>());
        });
    }
    template <typename Member>
    RecipeField& boolean(const std::string& key, Member& member, const std::string& help) {
        return add(key, "true or false", help, member,
                   [](const Json& v) { return v.is_boolean(); });
    }
    RecipeField& pair(const std::string& key, std::array<double, 2>& member, Range range,
                      const std::string& help);
    // A table that is stored as it is; its fields are not checked here.
    RecipeField& table(const std::string& key, Json& member, const std::string& help);

    const std::vector<RecipeField>& fields() const { return fields_; }
    const RecipeField* find(const std::string& key) const;
    // Whether some key starts with `section` and a dot.
    bool has_section(const std::string& section) const;
    // The suggestion for an unknown key: a key of that name in another section, otherwise the
    // nearest name in the same section.
    std::string nearest(const std::string& key) const;

    // Reads the table at `path` of the document. `section` is its name in this list ("" for the top
    // level). Keys in `others` are skipped. Throws Error for any other key that is not declared.
    void read(const TomlDocument& document, const Json& table, const std::string& path,
              const std::string& section, const std::vector<std::string>& others) const;

  private:
    // `"a", "b" or "c"`.
    static std::string one_of(const std::vector<std::string>& choices);
    // Marks a field as text. An empty string counts as not set.
    static RecipeField& as_text(RecipeField& field);

    template <typename Member>
    RecipeField& add(const std::string& key, const std::string& type, const std::string& help,
                     Member& member, std::function<bool(const Json&)> accepts) {
        RecipeField field;
        field.key = key;
        field.type = type;
        field.help = help;
        field.read = [&member, type, accepts = std::move(accepts)](const Json& value) {
            VILA_CHECK(accepts(value), "expected ", type, ", got ", toml_text(value));
            read_member(member, value);
        };
        field.value = [&member] { return member_value(member); };
        fields_.push_back(std::move(field));
        return fields_.back();
    }

    std::vector<RecipeField> fields_;
};

}  // namespace vila::tools
