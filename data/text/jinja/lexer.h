#pragma once

// Cuts the source of a Jinja template into tokens, with white space controlled as transformers sets
// it: trim_blocks (the line end after a block tag goes) and lstrip_blocks (so do blanks before
// one).

#include <string>
#include <string_view>
#include <vector>

namespace vila::data::jinja {

struct Token {
    enum class Kind {
        Text,        // between tags, to be printed as it is
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

// Throws Error "line N: ..." for text that no token begins with, and for tags and strings that do
// not end. The last token is an End.
std::vector<Token> tokenize(std::string_view source);

}  // namespace vila::data::jinja
