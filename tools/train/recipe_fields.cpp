#include "tools/train/recipe_fields.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "tensor/name_list.h"
#include "tensor/nearest_name.h"

namespace vila::tools {

namespace {

std::string last_part(const std::string& key) {
    return key.substr(key.find_last_of('.') + 1);
}

std::string parent(const std::string& key) {
    const size_t dot = key.find_last_of('.');
    return dot == std::string::npos ? "" : key.substr(0, dot);
}

// A limit as it is written in a recipe: whole numbers in full, such as 16777216.
std::string limit_text(double limit) {
    constexpr double kWritten = 1e15;
    const bool is_whole = std::abs(limit) < kWritten && limit == std::floor(limit);
    return is_whole ? std::to_string(static_cast<int64_t>(limit)) : str(limit);
}

// A value with the fields of its tables in the order of their names, as a TOML file gives them. An
// override adds a field at the end; equal tables must be equal values.
Json sorted(const Json& value) {
    if (!value.is_object()) return value;
    std::map<std::string, Json> fields;
    for (const auto& [name, field] : value.items()) fields[name] = sorted(field);
    Json table = Json::object();
    for (const auto& [name, field] : fields) table[name] = field;
    return table;
}

}  // namespace

std::string Range::text() const {
    return str(above ? "above " : "from ", limit_text(min), " to ", limit_text(max));
}

std::string FieldList::one_of(const std::vector<std::string>& choices) {
    std::vector<std::string> quoted;
    for (const std::string& choice : choices) quoted.push_back('"' + choice + '"');
    return name_list(quoted);
}

RecipeField& FieldList::as_text(RecipeField& field) {
    field.is_text = true;
    field.value = [value = field.value] {
        const Json text = value();
        return text == Json("") ? Json() : text;
    };
    return field;
}

RecipeField& FieldList::path(const std::string& key, std::string& member, const std::string& help,
                             const std::filesystem::path& base) {
    RecipeField& field =
        as_text(add(key, "a path", help, member, [](const Json& v) { return v.is_string(); }));
    field.read = [&member, base](const Json& value) {
        VILA_CHECK(value.is_string(), "expected a path, got ", toml_text(value));
        const std::string given = value.get<std::string>();
        member = given.empty() ? given : (base / given).lexically_normal().string();
    };
    return field;
}

RecipeField& FieldList::pair(const std::string& key, std::array<double, 2>& member, Range range,
                             const std::string& help) {
    return add(key, "two numbers " + range.text(), help, member, [range](const Json& v) {
        return v.is_array() && v.size() == 2 && std::all_of(v.begin(), v.end(), [&](const Json& n) {
                   return n.is_number() && range.holds(n.get<double>());
               });
    });
}

RecipeField& FieldList::table(const std::string& key, Json& member, const std::string& help) {
    RecipeField& field =
        add(key, "a table", help, member, [](const Json& v) { return v.is_object(); });
    field.read = [&member, read = field.read](const Json& value) {
        read(value);
        member = sorted(value);
    };
    return field;
}

const RecipeField* FieldList::find(const std::string& key) const {
    for (const RecipeField& field : fields_)
        if (field.key == key) return &field;
    return nullptr;
}

bool FieldList::has_section(const std::string& section) const {
    return std::any_of(fields_.begin(), fields_.end(), [&](const RecipeField& field) {
        return field.key.starts_with(section + ".");
    });
}

std::string FieldList::nearest(const std::string& key) const {
    std::vector<std::string> siblings;
    for (const RecipeField& field : fields_) {
        if (last_part(field.key) == last_part(key)) return field.key;
        // The sibling itself, or the section on the same level that contains the field.
        std::string name = field.key;
        while (!name.empty() && parent(name) != parent(key)) name = parent(name);
        if (!name.empty()) siblings.push_back(name);
    }
    return nearest_name(key, siblings);
}

void FieldList::read(const TomlDocument& document, const Json& table, const std::string& path,
                     const std::string& section, const std::vector<std::string>& others) const {
    for (const auto& [name, value] : table.items()) {
        const std::string key = section.empty() ? name : section + "." + name;
        const std::string where = path.empty() ? name : path + "." + name;
        const RecipeField* field = find(key);
        if (field != nullptr) {
            try {
                const auto written = document.override_texts.find(where);
                const bool verbatim = field->is_text && !value.is_string() &&
                                      written != document.override_texts.end();
                field->read(verbatim ? Json(written->second) : value);
            } catch (const Error& error) {
                throw Error(str(document.place(where), ": ", where, ": ", error.what()));
            }
        } else if (has_section(key)) {
            VILA_CHECK(value.is_object(), document.place(where), ": ", where,
                       ": expected a table [", where, "], got ", toml_text(value));
            read(document, value, where, key, others);
        } else if (std::find(others.begin(), others.end(), key) == others.end()) {
            throw Error(str(document.place(where), ": unknown key '", where, "'; did you mean '",
                            nearest(key), "'?"));
        }
    }
}

}  // namespace vila::tools
