#include "data/text/jinja/percent_format.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "data/text/unicode.h"
#include "tensor/check.h"

namespace vila::data::jinja {

namespace {

constexpr int64_t kMostColumns = 1000;

struct Conversion {
    bool left = false, zero = false, plus = false, blank = false;  // the flags "-", "0", "+", " "
    int64_t width = 0;
    int64_t precision = -1;  // -1: not given
    char type = 's';
};

// Returns the digits of an integer, without its sign.
std::string digits_of(int64_t number, int base) {
    const auto value = static_cast<uint64_t>(number);
    char text[32];
    const auto end =
        std::to_chars(text, text + sizeof(text), number < 0 ? ~value + 1 : value, base).ptr;
    return {text, end};
}

std::string upper(std::string text) {
    for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return text;
}

class Formatter {
  public:
    Formatter(Runtime& runtime, std::string_view format, const Value& arguments)
        : runtime_(runtime), format_(format), arguments_(arguments) {}

    std::string text() {
        while (!format_.empty()) {
            const size_t at = std::min(format_.find('%'), format_.size());
            runtime_.append(out_, format_.substr(0, at));
            format_.remove_prefix(at);
            if (!format_.empty()) convert();
        }
        VILA_CHECK(used_all(), "not all arguments converted during string formatting");
        return std::move(out_);
    }

  private:
    bool is_tuple() const {
        return arguments_.list() != nullptr && arguments_.list_kind() == ListKind::Tuple;
    }
    // In Python, what can be indexed by a key may stay unused.
    bool used_all() const {
        if (is_tuple()) return next_ == arguments_.list()->size();
        return next_ == 1 || arguments_.dict() != nullptr || arguments_.list() != nullptr ||
               arguments_.is_undefined();
    }

    const Value& next_argument() {
        const size_t count = is_tuple() ? arguments_.list()->size() : 1;
        VILA_CHECK(next_ < count && !has_names_, "not enough arguments for format string");
        return is_tuple() ? (*arguments_.list())[next_++] : (++next_, arguments_);
    }

    char take() {
        VILA_CHECK(!format_.empty(), "incomplete format");
        const char c = format_.front();
        format_.remove_prefix(1);
        return c;
    }
    bool accept(char c) {
        if (!format_.starts_with(c)) return false;
        format_.remove_prefix(1);
        return true;
    }

    // Reads a width or precision: digits, or "*" for the next argument.
    int64_t read_columns() {
        int64_t columns = 0;
        if (accept('*')) {
            columns = next_argument().as_integer("* wants int");
        } else {
            if (format_.empty() || std::isdigit(static_cast<unsigned char>(format_[0])) == 0)
                return 0;
            const char* end = format_.data() + format_.size();
            const auto parsed = std::from_chars(format_.data(), end, columns);
            VILA_CHECK(parsed.ec != std::errc::result_out_of_range, "a width above ", kMostColumns);
            format_.remove_prefix(static_cast<size_t>(parsed.ptr - format_.data()));
        }
        VILA_CHECK(columns >= -kMostColumns && columns <= kMostColumns, "a width of ", columns,
                   ": at most ", kMostColumns, " is implemented");
        return columns;
    }

    // Reads "(name)". Returns the member that it names, or null without one.
    const Value* read_name() {
        if (!accept('(')) return nullptr;
        const size_t end = format_.find(')');
        VILA_CHECK(end != std::string_view::npos, "incomplete format key");
        VILA_CHECK(arguments_.dict() != nullptr, "format requires a mapping");
        const std::string name(format_.substr(0, end));
        format_.remove_prefix(end + 1);
        const Value* value = find(*arguments_.dict(), Value(name));
        has_names_ = true;
        VILA_CHECK(value != nullptr, "no value for %(", name, ")");
        return value;
    }

    void convert() {
        take();  // the first %
        if (accept('%')) return runtime_.append(out_, "%");
        const Value* named = read_name();
        Conversion to;
        for (bool is_flag = true; is_flag;) {
            is_flag = true;
            if (accept('-'))
                to.left = true;
            else if (accept('0'))
                to.zero = true;
            else if (accept('+'))
                to.plus = true;
            else if (accept(' '))
                to.blank = true;
            else
                is_flag = false;
        }
        to.width = read_columns();
        to.left = to.left || to.width < 0;
        to.width = std::abs(to.width);
        if (accept('.')) to.precision = std::max<int64_t>(read_columns(), 0);
        while (accept('h') || accept('l') || accept('L')) continue;
        to.type = take();
        append(to, named != nullptr ? *named : next_argument());
    }

    void append(const Conversion& to, const Value& value) {
        if (to.type == 's' || to.type == 'r' || to.type == 'c') {
            if (to.type == 'r') runtime_.take(4 * value.bytes());
            std::string text = to.type == 'c'   ? character(value)
                               : to.type == 'r' ? value.repr()
                                                : runtime_.text_of(value);
            if (to.precision >= 0 && to.type != 'c') cut(text, to.precision);
            return pad(to, "", text, ' ');
        }
        const bool is_integer = std::string_view("diuxXo").find(to.type) != std::string_view::npos;
        const bool is_float = std::string_view("eEfFgG").find(to.type) != std::string_view::npos;
        VILA_CHECK(is_integer || is_float, "the conversion %", std::string_view(&to.type, 1),
                   " is not implemented");
        std::string digits = is_integer ? integer(to, value) : real(to, value);
        std::string sign = digits.starts_with('-') ? "-" : to.plus ? "+" : to.blank ? " " : "";
        if (digits.starts_with('-')) digits.erase(0, 1);
        pad(to, sign, digits, to.zero && !to.left ? '0' : ' ');
    }

    static std::string integer(const Conversion& to, const Value& value) {
        const std::string what = str("%", std::string_view(&to.type, 1), " format");
        const bool is_decimal = std::string_view("diu").find(to.type) != std::string_view::npos;
        int64_t number = 0;
        if (value.is_float() && is_decimal) {
            const double real = std::trunc(value.as_double(what));
            VILA_CHECK(std::fabs(real) < 0x1p63, what, ": a number is above 2^63 - 1");
            number = static_cast<int64_t>(real);
        } else {
            number = value.as_integer(what);
        }
        std::string digits = digits_of(number, is_decimal ? 10 : to.type == 'o' ? 8 : 16);
        if (to.type == 'X') digits = upper(digits);
        if (static_cast<int64_t>(digits.size()) < to.precision)
            digits.insert(0, static_cast<size_t>(to.precision) - digits.size(), '0');
        return (number < 0 ? "-" : "") + digits;
    }

    static std::string real(const Conversion& to, const Value& value) {
        const double number = value.as_double(str("%", std::string_view(&to.type, 1), " format"));
        const char type = static_cast<char>(std::tolower(static_cast<unsigned char>(to.type)));
        const char specification[] = {'%', '.', '*', type, '\0'};
        const int precision = to.precision < 0 ? 6 : static_cast<int>(to.precision);
        std::string text(static_cast<size_t>(precision) + 400,
                         '\0');  // 309 digits before the point
        text.resize(static_cast<size_t>(
            std::snprintf(text.data(), text.size(), specification, precision, number)));
        if (std::isnan(number)) text = "nan";  // without a sign, as in Python
        return type == to.type ? text : upper(text);
    }

    static std::string character(const Value& value) {
        if (value.is_string()) {
            VILA_CHECK(count_characters(*value.text()) == 1, "%c requires int or char");
            return *value.text();
        }
        const int64_t code = value.as_integer("%c format");
        const bool is_surrogate = code >= 0xD800 && code < 0xE000;
        VILA_CHECK(code >= 0 && code < 0x110000 && !is_surrogate, "%c: ", code, " is no character");
        std::string text;
        append_char(text, static_cast<uint32_t>(code));
        return text;
    }

    static void cut(std::string& text, int64_t count) {
        const std::vector<std::string_view> all = characters(text);
        if (static_cast<int64_t>(all.size()) <= count) return;
        text.resize(static_cast<size_t>(all[static_cast<size_t>(count)].data() - text.data()));
    }

    // Appends sign and text, padded to the width: zeros stand between them, spaces outside.
    void pad(const Conversion& to, std::string_view sign, std::string_view text, char filler) {
        const int64_t taken = static_cast<int64_t>(sign.size()) + count_characters(text);
        const std::string fill(static_cast<size_t>(std::max<int64_t>(to.width - taken, 0)), filler);
        if (!to.left && filler == ' ') runtime_.append(out_, fill);
        runtime_.append(out_, sign);
        if (!to.left && filler != ' ') runtime_.append(out_, fill);
        runtime_.append(out_, text);
        if (to.left) runtime_.append(out_, fill);
    }

    Runtime& runtime_;
    std::string_view format_;  // the rest
    const Value& arguments_;
    size_t next_ = 0;         // arguments used
    bool has_names_ = false;  // the dict was used by name
    std::string out_;
};

}  // namespace

Value percent_formatted(Runtime& runtime, std::string_view format, const Value& arguments) {
    return Formatter(runtime, format, arguments).text();
}

}  // namespace vila::data::jinja
