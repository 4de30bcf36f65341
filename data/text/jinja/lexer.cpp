#include "data/text/jinja/lexer.h"

#include <algorithm>
#include <cctype>

#include "data/text/unicode.h"
#include "tensor/check.h"

namespace vila::data::jinja {

namespace {

using Kind = Token::Kind;

bool is_blank(char c) {
    return std::isspace(static_cast<unsigned char>(c)) != 0;
}
bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool begins_name(char c) {
    return c == '_' || std::isalpha(static_cast<unsigned char>(c)) != 0;
}

// Returns `source` with every line end as "\n", and without one at the end.
std::string normalized(std::string_view source) {
    std::string text;
    for (size_t i = 0; i < source.size(); ++i) {
        if (source[i] != '\r') {
            text += source[i];
        } else if (i + 1 == source.size() || source[i + 1] != '\n') {
            text += '\n';
        }
    }
    if (text.ends_with('\n')) text.pop_back();
    return text;
}

class Lexer {
  public:
    explicit Lexer(std::string_view source) : source_(normalized(source)) {}

    std::vector<Token> run() {
        while (at_ < source_.size()) {
            const size_t tag = next_tag();
            text_before(tag);
            if (tag == std::string::npos) break;
            at_ = tag;
            read_tag();
        }
        add(Kind::End, "");
        return std::move(tokens_);
    }

  private:
    [[noreturn]] void fail(const std::string& what) const {
        throw Error(str("line ", line_, ": ", what));
    }

    void add(Kind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }

    // Moves to `end`, counting lines.
    void move_to(size_t end) {
        line_ += static_cast<int>(std::count(source_.begin() + at_, source_.begin() + end, '\n'));
        at_ = end;
    }

    size_t next_tag() const {
        for (size_t i = source_.find('{', at_); i != std::string::npos;
             i = source_.find('{', i + 1)) {
            const char next = i + 1 < source_.size() ? source_[i + 1] : '\0';
            if (next == '{' || next == '%' || next == '#') return i;
        }
        return std::string::npos;
    }

    // Adds the text from here to the tag at `tag`, without the blanks that the tag removes.
    void text_before(size_t tag) {
        const size_t end = std::min(tag, source_.size());
        std::string_view text = std::string_view(source_).substr(at_, end - at_);
        if (tag < source_.size()) text = without_end(text, tag);
        if (!text.empty()) add(Kind::Text, std::string(text));
        move_to(end);
    }

    // Returns `text` without the blanks at its end that the tag at `tag` removes.
    std::string_view without_end(std::string_view text, size_t tag) const {
        const char control = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
        if (control == '-') {
            while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
        } else if (control != '+' && source_[tag + 1] != '{') {
            const size_t line_begin = text.rfind('\n') + 1;  // 0 if there is no line end
            const bool from_line_begin = line_begin > 0 || line_starts_;
            const std::string_view rest = text.substr(line_begin);
            if (from_line_begin && std::all_of(rest.begin(), rest.end(), is_blank))
                text.remove_suffix(rest.size());
        }
        return text;
    }

    void read_tag() {
        const char kind = source_[at_ + 1];
        const size_t begin = at_;
        move_to(at_ + 2);
        if (at_ < source_.size() && (source_[at_] == '-' || source_[at_] == '+')) ++at_;
        if (kind == '#') {
            const size_t end = source_.find("#}", at_);
            if (end == std::string::npos) fail("a comment does not end");
            const char control = source_[end - 1];
            move_to(end + 2);
            after_tag(end - 1 >= begin + 2 ? control : '\0', true);
        } else if (kind == '%' && read_raw()) {
            return;
        } else {
            add(kind == '{' ? Kind::PrintBegin : Kind::BlockBegin, "");
            read_expression(kind == '{' ? "}}" : "%}");
            add(kind == '{' ? Kind::PrintEnd : Kind::BlockEnd, "");
            const char control = source_[at_] == '-' || source_[at_] == '+' ? source_[at_] : '\0';
            move_to(at_ + (control == '\0' ? 2 : 3));
            after_tag(control, kind == '%');
        }
    }

    // Removes the blanks that the end of a tag removes after it.
    void after_tag(char control, bool trims) {
        const size_t begin = at_;
        size_t end = at_;
        if (control == '-') {
            while (end < source_.size() && is_blank(source_[end])) ++end;
        } else if (trims && control != '+' && end < source_.size() && source_[end] == '\n') {
            ++end;
        }
        move_to(end);
        line_starts_ = end > begin && source_[end - 1] == '\n';
    }

    // Returns whether the tag whose inside is at `at` has only this `word` in it. Sets `end` to the
    // place after the tag and `control` to its '-' or '+'.
    bool skip_word_tag(std::string_view word, size_t at, size_t& end, char& control) const {
        while (at < source_.size() && is_blank(source_[at])) ++at;
        if (source_.compare(at, word.size(), word) != 0) return false;
        at += word.size();
        while (at < source_.size() && is_blank(source_[at])) ++at;
        control =
            at < source_.size() && (source_[at] == '-' || source_[at] == '+') ? source_[at] : '\0';
        if (control != '\0') ++at;
        end = at + 2;
        return source_.compare(at, 2, "%}") == 0;
    }

    // Reads {% raw %} text {% endraw %} as text. Returns false for another tag.
    bool read_raw() {
        size_t begin = 0, end = 0;
        char control = '\0';
        if (!skip_word_tag("raw", at_, begin, control)) return false;
        if (control == '-')
            while (begin < source_.size() && is_blank(source_[begin])) ++begin;
        line_starts_ = source_[begin - 1] == '\n';
        for (size_t tag = source_.find("{%", begin); tag != std::string::npos;
             tag = source_.find("{%", tag + 2)) {
            const char before = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
            const size_t word = tag + (before == '-' || before == '+' ? 3 : 2);
            if (!skip_word_tag("endraw", word, end, control)) continue;
            const std::string_view text =
                without_end(std::string_view(source_).substr(begin, tag - begin), tag);
            if (!text.empty()) add(Kind::Text, std::string(text));
            move_to(end);
            after_tag(control, true);
            return true;
        }
        fail("raw does not end");
    }

    // Adds the tokens up to `end`, or up to a '-' or '+' before it.
    void read_expression(std::string_view end) {
        std::string brackets;
        while (true) {
            while (at_ < source_.size() && is_blank(source_[at_])) move_to(at_ + 1);
            if (at_ >= source_.size()) fail(str("a tag does not end: expected ", end));
            const std::string_view rest = std::string_view(source_).substr(at_);
            const bool controlled =
                (rest[0] == '-' || rest[0] == '+') && rest.substr(1).starts_with(end);
            if (brackets.empty() && (rest.starts_with(end) || controlled)) return;
            read_token(brackets);
        }
    }

    void read_token(std::string& brackets) {
        const char c = source_[at_];
        if (begins_name(c)) {
            size_t last = at_;
            while (last < source_.size() && (begins_name(source_[last]) || is_digit(source_[last])))
                ++last;
            add(Kind::Name, source_.substr(at_, last - at_));
            at_ = last;
        } else if (is_digit(c)) {
            read_number();
        } else if (c == '\'' || c == '"') {
            read_string(c);
        } else {
            read_operator(brackets);
        }
    }

    void read_number() {
        size_t last = at_;
        const auto digits = [&] {
            while (last < source_.size() && (is_digit(source_[last]) || source_[last] == '_'))
                ++last;
        };
        digits();
        const size_t whole = last;
        if (last + 1 < source_.size() && source_[last] == '.' && is_digit(source_[last + 1])) {
            ++last;
            digits();
        }
        if (last + 1 < source_.size() && (source_[last] == 'e' || source_[last] == 'E')) {
            const size_t sign = source_[last + 1] == '+' || source_[last + 1] == '-' ? 1 : 0;
            if (last + 1 + sign < source_.size() && is_digit(source_[last + 1 + sign])) {
                last += 1 + sign;
                digits();
            }
        }
        std::string text = source_.substr(at_, last - at_);
        text.erase(std::remove(text.begin(), text.end(), '_'), text.end());
        add(last == whole ? Kind::Integer : Kind::Float, text);
        at_ = last;
    }

    void read_string(char quote) {
        const int first_line = line_;
        std::string text;
        move_to(at_ + 1);
        while (at_ < source_.size() && source_[at_] != quote) {
            if (source_[at_] == '\\') {
                read_escape(text);
            } else {
                text += source_[at_];
                move_to(at_ + 1);
            }
        }
        if (at_ >= source_.size()) {
            line_ = first_line;
            fail("a string does not end");
        }
        ++at_;
        add(Kind::String, text);
    }

    // The escapes of Python's strings; an unknown one stays as it is.
    void read_escape(std::string& text) {
        constexpr std::string_view kLetters = "\\'\"abfnrtv", kMeanings = "\\'\"\a\b\f\n\r\t\v";
        const char kind = at_ + 1 < source_.size() ? source_[at_ + 1] : '\0';
        const size_t digits = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
        const size_t letter = kLetters.find(kind);
        if (digits > 0) {
            uint32_t code = 0;
            for (size_t i = 0; i < digits; ++i) {
                const char c = at_ + 2 + i < source_.size() ? source_[at_ + 2 + i] : '\0';
                if (std::isxdigit(static_cast<unsigned char>(c)) == 0)
                    fail("a string has a bad escape");
                code = code * 16 +
                       static_cast<uint32_t>(is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
            }
            if (code > 0x10ffffU || (code >= 0xd800U && code <= 0xdfffU))
                fail("a string has a bad escape");
            append_char(text, code);
            at_ += 2 + digits;
        } else if (kind >= '0' && kind <= '7') {
            uint32_t code = 0;
            ++at_;
            for (int i = 0;
                 i < 3 && at_ < source_.size() && source_[at_] >= '0' && source_[at_] <= '7';
                 ++i, ++at_)
                code = code * 8 + static_cast<uint32_t>(source_[at_] - '0');
            append_char(text, code);
        } else if (kind == 'N') {
            fail("a character by its name, \\N{...}, is not implemented");
        } else if (kind == '\n') {
            move_to(at_ + 2);
        } else if (kind != '\0' && letter != std::string_view::npos) {
            text += kMeanings[letter];
            at_ += 2;
        } else {
            text += '\\';
            ++at_;
        }
    }

    void read_operator(std::string& brackets) {
        static constexpr std::string_view kOperators[] = {
            "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
            "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
        const std::string_view rest = std::string_view(source_).substr(at_);
        for (const std::string_view spelling : kOperators) {
            if (!rest.starts_with(spelling)) continue;
            constexpr std::string_view kOpening = "([{", kClosing = ")]}";
            if (kOpening.find(spelling[0]) != std::string_view::npos) brackets += spelling[0];
            const size_t closing = kClosing.find(spelling[0]);
            if (closing != std::string_view::npos) {
                if (brackets.empty() || brackets.back() != kOpening[closing])
                    fail(str("unexpected '", spelling, "'"));
                brackets.pop_back();
            }
            add(Kind::Operator, std::string(spelling));
            at_ += spelling.size();
            return;
        }
        fail(str("unexpected '", rest.substr(0, 1), "'"));
    }

    std::string source_;
    size_t at_ = 0;
    int line_ = 1;
    bool line_starts_ = true;
    std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) {
    return Lexer(source).run();
}

}  // namespace vila::data::jinja
