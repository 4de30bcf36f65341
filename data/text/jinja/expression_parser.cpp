#include "data/text/jinja/expression_parser.h"

#include <charconv>
#include <cstdlib>

namespace vila::data::jinja {

namespace {

using Kind = Token::Kind;
using Parse = ExpressionPointer (*)(TokenReader&);

ExpressionPointer parse_unary(TokenReader& reader, bool with_filters);
ExpressionPointer parse_or(TokenReader& reader);

// Parses operands joined by any of `operations`, which group from left to right.
template <size_t n>
ExpressionPointer parse_chain(TokenReader& reader, const std::string_view (&operations)[n],
                              Parse operand) {
    ExpressionPointer left = operand(reader);
    while (true) {
        const std::string_view* found = nullptr;
        for (const std::string_view& operation : operations)
            if (reader.is_operator(operation)) found = &operation;
        if (found == nullptr) return left;
        reader.take();
        left = make<Binary>(std::string(*found), std::move(left), operand(reader));
    }
}

ExpressionPointer parse_power(TokenReader& reader) {
    constexpr std::string_view kOperations[] = {"**"};
    return parse_chain(reader, kOperations, [](TokenReader& r) { return parse_unary(r, true); });
}
ExpressionPointer parse_product(TokenReader& reader) {
    constexpr std::string_view kOperations[] = {"*", "/", "//", "%"};
    return parse_chain(reader, kOperations, parse_power);
}
ExpressionPointer parse_concatenation(TokenReader& reader) {
    constexpr std::string_view kOperations[] = {"~"};
    return parse_chain(reader, kOperations, parse_product);
}
ExpressionPointer parse_sum(TokenReader& reader) {
    constexpr std::string_view kOperations[] = {"+", "-"};
    return parse_chain(reader, kOperations, parse_concatenation);
}

// Takes the comparison that comes next and returns it; empty if another token does.
std::string take_comparison(TokenReader& reader) {
    for (const std::string_view operation : {"==", "!=", "<=", ">=", "<", ">"})
        if (reader.accept_operator(operation)) return std::string(operation);
    if (reader.accept_name("in")) return "in";
    if (reader.is_name("not") && reader.second().is(Kind::Name, "in")) {
        reader.take();
        reader.take();
        return "not in";
    }
    return "";
}

ExpressionPointer parse_comparison(TokenReader& reader) {
    ExpressionPointer first = parse_sum(reader);
    std::vector<std::pair<std::string, ExpressionPointer>> rest;
    for (std::string operation = take_comparison(reader); !operation.empty();
         operation = take_comparison(reader))
        rest.emplace_back(operation, parse_sum(reader));
    return rest.empty() ? std::move(first) : make<Comparison>(std::move(first), std::move(rest));
}

ExpressionPointer parse_not(TokenReader& reader) {
    const TokenReader::Level level(reader);
    if (reader.accept_name("not")) return make<Unary>("not", parse_not(reader));
    return parse_comparison(reader);
}

ExpressionPointer parse_and(TokenReader& reader) {
    ExpressionPointer left = parse_not(reader);
    while (reader.accept_name("and"))
        left = make<Binary>("and", std::move(left), parse_not(reader));
    return left;
}

ExpressionPointer parse_or(TokenReader& reader) {
    ExpressionPointer left = parse_and(reader);
    while (reader.accept_name("or")) left = make<Binary>("or", std::move(left), parse_and(reader));
    return left;
}

// Parses elements up to `close`; a comma may follow the last.
template <typename Element>
void parse_elements(TokenReader& reader, std::string_view close, const Element& element) {
    while (!reader.accept_operator(close)) {
        element();
        if (!reader.is_operator(close)) reader.expect_operator(",");
    }
}

ExpressionPointer parse_list(TokenReader& reader, std::string_view close) {
    std::vector<ExpressionPointer> elements;
    parse_elements(reader, close, [&] { elements.push_back(parse_expression(reader)); });
    return make<ListDisplay>(std::move(elements), ListKind::List);
}

// Parses what follows "(": one expression in parentheses, or a tuple.
ExpressionPointer parse_parenthesized(TokenReader& reader) {
    if (reader.accept_operator(")"))
        return make<ListDisplay>(std::vector<ExpressionPointer>(), ListKind::Tuple);
    ExpressionPointer first = parse_expression(reader);
    if (reader.accept_operator(")")) return first;
    reader.expect_operator(",");
    std::vector<ExpressionPointer> elements;
    elements.push_back(std::move(first));
    parse_elements(reader, ")", [&] { elements.push_back(parse_expression(reader)); });
    return make<ListDisplay>(std::move(elements), ListKind::Tuple);
}

ExpressionPointer parse_dict(TokenReader& reader) {
    std::vector<std::pair<ExpressionPointer, ExpressionPointer>> members;
    parse_elements(reader, "}", [&] {
        ExpressionPointer key = parse_expression(reader);
        reader.expect_operator(":");
        members.emplace_back(std::move(key), parse_expression(reader));
    });
    return make<DictDisplay>(std::move(members));
}

ExpressionPointer parse_number(TokenReader& reader) {
    const Token token = reader.take();
    if (token.kind == Kind::Float) return make<Constant>(std::strtod(token.text.c_str(), nullptr));
    int64_t number = 0;
    const char *begin = token.text.data(), *end = begin + token.text.size();
    if (std::from_chars(begin, end, number).ec != std::errc())
        reader.fail("a number is above 2^63 - 1");
    return make<Constant>(number);
}

ExpressionPointer parse_primary(TokenReader& reader) {
    const TokenReader::Level level(reader);
    if (reader.is(Kind::String)) {
        std::string text;
        while (reader.is(Kind::String)) text += reader.take().text;
        return make<Constant>(text);
    }
    if (reader.is(Kind::Integer) || reader.is(Kind::Float)) return parse_number(reader);
    if (reader.accept_operator("(")) return parse_parenthesized(reader);
    if (reader.accept_operator("[")) return parse_list(reader, "]");
    if (reader.accept_operator("{")) return parse_dict(reader);
    const std::string name = reader.expect_name("an expression");
    if (name == "true" || name == "True") return make<Constant>(true);
    if (name == "false" || name == "False") return make<Constant>(false);
    if (name == "none" || name == "None") return make<Constant>(Value());
    return make<Name>(name);
}

// Parses what follows "[": an index or a slice.
ExpressionPointer parse_subscript(TokenReader& reader, ExpressionPointer object) {
    ExpressionPointer parts[3];
    int count = 0;
    bool is_slice = false;
    while (!reader.accept_operator("]")) {
        if (reader.accept_operator(":")) {
            is_slice = true;
            if (++count > 2) reader.fail("expected ']'");
        } else {
            if (parts[count] != nullptr) reader.fail("expected ']'");
            parts[count] = parse_expression(reader);
        }
    }
    if (is_slice)
        return make<SliceOf>(std::move(object), std::move(parts[0]), std::move(parts[1]),
                             std::move(parts[2]));
    if (parts[0] == nullptr) reader.fail("expected an index");
    return make<ElementOf>(std::move(object), std::move(parts[0]));
}

ExpressionPointer parse_postfix(TokenReader& reader, ExpressionPointer value) {
    while (true) {
        if (reader.accept_operator(".")) {
            if (reader.is(Kind::Integer)) {
                value = make<ElementOf>(std::move(value), parse_number(reader));
            } else {
                value =
                    make<AttributeOf>(std::move(value), reader.expect_name("the name of a member"));
            }
        } else if (reader.accept_operator("[")) {
            value = parse_subscript(reader, std::move(value));
        } else if (reader.accept_operator("(")) {
            value = make<Call>(std::move(value), parse_arguments(reader));
        } else {
            return value;
        }
    }
}

// Parses what follows "is". The argument of a test may stand without parentheses.
ExpressionPointer parse_test(TokenReader& reader, ExpressionPointer value) {
    const bool negated = reader.accept_name("not");
    std::string name = reader.expect_name("the name of a test");
    ArgumentExpressions arguments;
    const bool starts_value = reader.is(Kind::Name) || reader.is(Kind::String) ||
                              reader.is(Kind::Integer) || reader.is(Kind::Float) ||
                              reader.is_operator("[") || reader.is_operator("{");
    const bool ends_test = reader.is_name("else") || reader.is_name("or") ||
                           reader.is_name("and") || reader.is_name("is") || reader.is_name("if") ||
                           reader.is_name("in") || reader.is_name("not");
    if (reader.accept_operator("(")) {
        arguments = parse_arguments(reader);
    } else if (starts_value && !ends_test) {
        arguments.positional.push_back(parse_postfix(reader, parse_primary(reader)));
    }
    return make<Test>(std::move(value), std::move(name), std::move(arguments), negated);
}

ExpressionPointer parse_filters(TokenReader& reader, ExpressionPointer value) {
    while (true) {
        if (reader.accept_operator("|")) {
            std::string name = reader.expect_name("the name of a filter");
            ArgumentExpressions arguments;
            if (reader.accept_operator("(")) arguments = parse_arguments(reader);
            value = make<Filter>(std::move(value), std::move(name), std::move(arguments));
        } else if (reader.accept_name("is")) {
            value = parse_test(reader, std::move(value));
        } else if (reader.accept_operator("(")) {
            value = make<Call>(std::move(value), parse_arguments(reader));
        } else {
            return value;
        }
    }
}

ExpressionPointer parse_unary(TokenReader& reader, bool with_filters) {
    const TokenReader::Level level(reader);
    ExpressionPointer value;
    if (reader.accept_operator("-")) {
        value = make<Unary>("-", parse_unary(reader, false));
    } else if (reader.accept_operator("+")) {
        value = make<Unary>("+", parse_unary(reader, false));
    } else {
        value = parse_primary(reader);
    }
    value = parse_postfix(reader, std::move(value));
    return with_filters ? parse_filters(reader, std::move(value)) : std::move(value);
}

}  // namespace

ExpressionPointer parse_expression(TokenReader& reader, bool conditional) {
    const TokenReader::Level level(reader);
    ExpressionPointer value = parse_or(reader);
    while (conditional && reader.accept_name("if")) {
        ExpressionPointer condition = parse_or(reader);
        ExpressionPointer otherwise =
            reader.accept_name("else") ? parse_expression(reader) : nullptr;
        value = make<Conditional>(std::move(value), std::move(condition), std::move(otherwise));
    }
    return value;
}

ExpressionPointer parse_expressions(TokenReader& reader) {
    ExpressionPointer first = parse_expression(reader);
    if (!reader.is_operator(",")) return first;
    std::vector<ExpressionPointer> elements;
    elements.push_back(std::move(first));
    while (reader.accept_operator(",") && !reader.is(Kind::BlockEnd) && !reader.is(Kind::PrintEnd))
        elements.push_back(parse_expression(reader));
    return make<ListDisplay>(std::move(elements), ListKind::Tuple);
}

ArgumentExpressions parse_arguments(TokenReader& reader) {
    constexpr size_t kMaxArguments = 255;  // keyword arguments are searched one by one
    ArgumentExpressions arguments;
    parse_elements(reader, ")", [&] {
        if (arguments.positional.size() + arguments.keywords.size() >= kMaxArguments)
            reader.fail(str("expected at most ", kMaxArguments, " arguments"));
        if (reader.is(Kind::Name) && reader.second().is(Kind::Operator, "=")) {
            std::string name = reader.take().text;
            for (const auto& [given, value] : arguments.keywords)
                if (given == name) reader.fail(str("the argument ", name, " is given twice"));
            reader.take();
            arguments.keywords.emplace_back(std::move(name), parse_expression(reader));
        } else {
            if (!arguments.keywords.empty())
                reader.fail("expected a keyword argument after another");
            arguments.positional.push_back(parse_expression(reader));
        }
    });
    return arguments;
}

}  // namespace vila::data::jinja
