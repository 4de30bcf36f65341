#pragma once

// Splits the source of a Jinja template into tokens. White space is treated as in transformers: the
// line end after a block tag is removed (trim_blocks), and so are blanks between the beginning of a
// line and a block tag (lstrip_blocks).

#include <string>
#include <string_view>
#include <vector>

namespace vila::data::jinja {

struct Token {
    enum class Kind {
        Text,        // text between tags, printed as it is
        PrintBegin,  // {{
        PrintEnd,    // }}
        BlockBegin,  // {%
        BlockEnd,    // %}
        Name,
        Integer,
        Float,
        String,  // `text` without quotes and escapes
        Operator,
        End,
    };
    Kind kind;
    std::string text;
    int line;

    bool is(Kind wanted, std::string_view spelling) const {
        return kind == wanted && text == spelling;
    }
};

// Returns the tokens; the last is an End. Throws Error "line N: ..." for characters that begin no
// token, and for tags and strings that do not end.
std::vector<Token> tokenize(std::string_view source);

}  // namespace vila::data::jinja
