// Values as JSON, as Python's json.dumps writes it.

#include <cstdio>

#include "data/text/jinja/builtins.h"
#include "tensor/check.h"

namespace vila::data::jinja {

namespace {

void json_into(const Value& value, int64_t indent, int64_t level, std::string& out);

// The members of a list or dict between brackets, each written by `write(i)`.
template <typename Write>
void json_members(char open, char close, size_t count, int64_t indent, int64_t level,
                  std::string& out, const Write& write) {
    out += open;
    const auto line = [&](int64_t depth) {
        out += '\n';
        out.append(static_cast<size_t>(depth * indent), ' ');
    };
    for (size_t i = 0; i < count; ++i) {
        if (i > 0) out += indent < 0 ? ", " : ",";
        if (indent >= 0) line(level + 1);
        write(i);
    }
    if (indent >= 0 && count > 0) line(level);
    out += close;
}

std::string json_text(const std::string& text) {
    std::string out = "\"";
    for (const char c : text) {
        constexpr std::string_view kCharacters = "\"\\\n\r\t\b\f", kLetters = "\"\\nrtbf";
        const size_t known = kCharacters.find(c);
        if (known != std::string_view::npos) {
            out += '\\';
            out += kLetters[known];
        } else if (static_cast<unsigned char>(c) < 0x20) {
            char escape[8];
            std::snprintf(escape, sizeof(escape), "\\u%04x",
                          static_cast<unsigned>(static_cast<unsigned char>(c)));
            out += escape;
        } else {
            out += c;
        }
    }
    return out + "\"";
}

void json_into(const Value& value, int64_t indent, int64_t level, std::string& out) {
    if (const List* list = value.list()) {
        json_members('[', ']', list->size(), indent, level, out,
                     [&](size_t i) { json_into((*list)[i], indent, level + 1, out); });
    } else if (const Dict* dict = value.dict()) {
        json_members('{', '}', dict->size(), indent, level, out, [&](size_t i) {
            const Value& key = (*dict)[i].first;
            out += json_text(key.is_string() ? *key.text() : to_json_text(key, -1)) + ": ";
            json_into((*dict)[i].second, indent, level + 1, out);
        });
    } else if (value.is_string()) {
        out += json_text(*value.text());
    } else if (value.is_bool()) {
        out += value.is_true() ? "true" : "false";
    } else if (value.is_none()) {
        out += "null";
    } else {
        VILA_CHECK(value.is_number(), "tojson: cannot write ", value.type_name());
        out += value.to_string();
    }
}

}  // namespace

std::string to_json_text(const Value& value, int64_t indent) {
    VILA_CHECK(indent <= 100, "tojson: indent ", indent, ": expected at most 100");
    std::string out;
    json_into(value, indent, 0, out);
    return out;
}

}  // namespace vila::data::jinja
