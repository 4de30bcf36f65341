// Values as JSON, as Python's json.dumps writes it.

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "data/text/jinja/builtins.h"
#include "data/text/unicode.h"
#include "tensor/check.h"

namespace vila::data::jinja {

namespace {

void append_escape(std::string& out, uint32_t unit) {
    char escape[8];
    std::snprintf(escape, sizeof(escape), "\\u%04x", static_cast<unsigned>(unit & 0xffffU));
    out += escape;
}

// Appends a character outside ASCII as escapes of UTF-16.
void append_utf16(std::string& out, std::string_view character) {
    const uint32_t valid = first_char(character).code;
    const uint32_t code = valid == kInvalidCode ? 0xfffdU : valid;
    if (code < 0x10000U) {
        append_escape(out, code);
    } else {
        append_escape(out, 0xd800U + ((code - 0x10000U) >> 10));
        append_escape(out, 0xdc00U + ((code - 0x10000U) & 0x3ffU));
    }
}

std::string quoted(std::string_view text, bool ensure_ascii) {
    constexpr std::string_view kCharacters = "\"\\\n\r\t\b\f", kLetters = "\"\\nrtbf";
    std::string out = "\"";
    for (const std::string_view character : characters(text)) {
        const size_t known = kCharacters.find(character);
        if (known != std::string_view::npos) {
            out += {'\\', kLetters[known]};
        } else if (static_cast<unsigned char>(character[0]) < 0x20) {
            append_escape(out, static_cast<unsigned char>(character[0]));
        } else if (ensure_ascii && static_cast<unsigned char>(character[0]) >= 0x80) {
            append_utf16(out, character);
        } else {
            out += character;
        }
    }
    return out + "\"";
}

class JsonWriter {
  public:
    JsonWriter(Runtime& runtime, const JsonStyle& style) : runtime_(runtime), style_(style) {}

    void write(const Value& value, int64_t level) {
        if (const List* list = value.list()) {
            VILA_CHECK(value.list_kind() == ListKind::List || value.list_kind() == ListKind::Tuple,
                       "tojson: cannot write ", value.type_name());
            brackets('[', ']', list->size(), level,
                     [&](size_t i) { write((*list)[i], level + 1); });
        } else if (value.dict() != nullptr) {
            const Dict dict = members_of(value);
            brackets('{', '}', dict.size(), level, [&](size_t i) {
                const Value& key = dict[i].first;
                runtime_.append(
                    out_, quoted(key.is_string() ? *key.text() : scalar(key), style_.ensure_ascii));
                runtime_.append(out_, style_.key_separator);
                write(dict[i].second, level + 1);
            });
        } else {
            runtime_.append(out_, scalar(value));
        }
    }

    std::string take() { return std::move(out_); }

  private:
    Dict members_of(const Value& value) const {
        Dict dict = *value.dict();
        if (style_.sort_keys)
            std::stable_sort(dict.begin(), dict.end(),
                             [](const auto& a, const auto& b) { return a.first.less(b.first); });
        return dict;
    }

    // Writes `count` members between brackets, each by write_member(i).
    template <typename WriteMember>
    void brackets(char open, char close, size_t count, int64_t level,
                  const WriteMember& write_member) {
        out_ += open;
        for (size_t i = 0; i < count; ++i) {
            if (i > 0) runtime_.append(out_, style_.item_separator);
            if (style_.indent >= 0) begin_line(level + 1);
            write_member(i);
        }
        if (style_.indent >= 0 && count > 0) begin_line(level);
        out_ += close;
    }

    void begin_line(int64_t level) {
        runtime_.take(1 + level * style_.indent);
        out_ += '\n';
        out_.append(static_cast<size_t>(level * style_.indent), ' ');
    }

    std::string scalar(const Value& value) const {
        if (value.is_string()) return quoted(*value.text(), style_.ensure_ascii);
        if (value.is_bool()) return value.is_true() ? "true" : "false";
        if (value.is_none()) return "null";
        VILA_CHECK(value.is_number(), "tojson: cannot write ", value.type_name());
        const double number = value.as_double("");
        if (std::isnan(number)) return "NaN";
        if (std::isinf(number)) return number > 0.0 ? "Infinity" : "-Infinity";
        return value.to_string();
    }

    Runtime& runtime_;
    const JsonStyle& style_;
    std::string out_;
};

}  // namespace

std::string to_json_text(Runtime& runtime, const Value& value, const JsonStyle& style) {
    VILA_CHECK(style.indent <= 100, "tojson: indent ", style.indent, ": expected at most 100");
    runtime.take(value.bytes());
    JsonWriter writer(runtime, style);
    writer.write(value, 0);
    return writer.take();
}

}  // namespace vila::data::jinja
