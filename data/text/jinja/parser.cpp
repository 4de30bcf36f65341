#include "data/text/jinja/parser.h"

#include <initializer_list>

#include "data/text/jinja/expression_parser.h"

namespace vila::data::jinja {

namespace {

using Kind = Token::Kind;

class Parser {
  public:
    explicit Parser(std::string_view source) : reader_(source) {}

    Block document() {
        Block block = body({});
        if (!reader_.is(Kind::End)) reader_.fail("unexpected tag");
        return block;
    }

  private:
    // Parses statements up to the end, or up to a tag with one of the names in `ends`; takes the
    // BlockBegin and the name of that tag.
    Block body(std::initializer_list<std::string_view> ends) {
        const TokenReader::Level level(reader_);
        Block block;
        while (!reader_.is(Kind::End)) {
            if (reader_.is(Kind::BlockBegin))
                for (const std::string_view end : ends)
                    if (reader_.second().is(Kind::Name, end)) {
                        reader_.take();
                        end_ = reader_.take().text;
                        return block;
                    }
            const int line = reader_.next().line;
            std::unique_ptr<Statement> one = statement();
            one->line = line;
            block.push_back(std::move(one));
        }
        if (ends.size() > 0) reader_.fail(str("expected {% ", *(ends.end() - 1), " %}"));
        return block;
    }

    void end_tag() { reader_.expect(Kind::BlockEnd, "%}"); }

    std::unique_ptr<Statement> statement() {
        if (reader_.is(Kind::Text)) {
            auto node = std::make_unique<Text>();
            node->text = reader_.take().text;
            return node;
        }
        if (reader_.is(Kind::PrintBegin)) {
            reader_.take();
            auto node = std::make_unique<Print>();
            node->expression = parse_expressions(reader_);
            reader_.expect(Kind::PrintEnd, "}}");
            return node;
        }
        reader_.expect(Kind::BlockBegin, "{%");
        if (reader_.accept_name("if")) return if_statement();
        if (reader_.accept_name("for")) return for_statement();
        if (reader_.accept_name("set")) return set_statement();
        if (reader_.accept_name("macro")) return macro_statement();
        if (reader_.accept_name("with")) return with_statement();
        if (reader_.accept_name("filter")) return filter_statement();
        if (reader_.is_name("break") || reader_.is_name("continue")) return jump_statement();
        if (reader_.accept_name("generation")) {
            end_tag();
            auto node = std::make_unique<Group>();
            node->body = without_loop({"endgeneration"});
            end_tag();
            return node;
        }
        reader_.fail(
            "expected a tag that is implemented: if, for, set, macro, with, filter, break, "
            "continue, "
            "generation, raw");
    }

    std::unique_ptr<Statement> if_statement() {
        auto node = std::make_unique<If>();
        end_ = "elif";
        while (end_ == "elif") {
            ExpressionPointer condition = parse_expressions(reader_);
            end_tag();
            Block block = body({"elif", "else", "endif"});
            node->branches.emplace_back(std::move(condition), std::move(block));
        }
        if (end_ == "else") {
            end_tag();
            node->branches.emplace_back(nullptr, body({"endif"}));
        }
        end_tag();
        return node;
    }

    std::unique_ptr<Statement> for_statement() {
        auto node = std::make_unique<For>();
        node->target = targets(false);
        if (!reader_.accept_name("in")) reader_.fail("expected 'in'");
        node->list = parse_expression(reader_, false);
        if (reader_.accept_name("if")) node->condition = parse_expression(reader_);
        if (reader_.is_name("recursive")) reader_.fail("recursive loops are not implemented");
        end_tag();
        ++loops_;
        node->body = body({"else", "endfor"});
        --loops_;
        if (end_ == "else") {
            end_tag();
            node->otherwise = body({"endfor"});
        }
        end_tag();
        return node;
    }

    std::unique_ptr<Statement> set_statement() {
        auto node = std::make_unique<Set>();
        node->target = targets(true);
        if (reader_.accept_operator("=")) {
            node->value = parse_expressions(reader_);
            end_tag();
            return node;
        }
        if (reader_.accept_operator("|")) node->filters = filters();
        end_tag();
        node->body = without_loop({"endset"});
        end_tag();
        return node;
    }

    // Parses "name(arguments) | name ...".
    std::vector<std::pair<std::string, ArgumentExpressions>> filters() {
        std::vector<std::pair<std::string, ArgumentExpressions>> filters;
        do {
            std::string name = reader_.expect_name("the name of a filter");
            ArgumentExpressions arguments;
            if (reader_.accept_operator("(")) arguments = parse_arguments(reader_);
            filters.emplace_back(std::move(name), std::move(arguments));
        } while (reader_.accept_operator("|"));
        return filters;
    }

    std::unique_ptr<Statement> with_statement() {
        auto node = std::make_unique<With>();
        while (!reader_.is(Kind::BlockEnd)) {
            if (!node->variables.empty()) reader_.expect_operator(",");
            Target variable = target(false);
            reader_.expect_operator("=");
            node->variables.emplace_back(std::move(variable), parse_expression(reader_));
        }
        end_tag();
        node->body = body({"endwith"});
        end_tag();
        return node;
    }

    std::unique_ptr<Statement> filter_statement() {
        auto node = std::make_unique<FilterBlock>();
        node->filters = filters();
        end_tag();
        node->body = without_loop({"endfilter"});
        end_tag();
        return node;
    }

    std::unique_ptr<Statement> macro_statement() {
        auto node = std::make_unique<Macro>();
        node->name = reader_.expect_name("the name of the macro");
        reader_.expect_operator("(");
        while (!reader_.accept_operator(")")) {
            std::string name = reader_.expect_name("the name of a parameter");
            ExpressionPointer otherwise =
                reader_.accept_operator("=") ? parse_expression(reader_) : nullptr;
            node->parameters.emplace_back(std::move(name), std::move(otherwise));
            if (!reader_.is_operator(")")) reader_.expect_operator(",");
        }
        end_tag();
        node->body = without_loop({"endmacro"});
        reader_.accept_name(node->name);  // may be repeated
        end_tag();
        return node;
    }

    // Parses a body with a scope of its own, in which break and continue have no loop.
    Block without_loop(std::initializer_list<std::string_view> ends) {
        const int outer = std::exchange(loops_, 0);
        Block block = body(ends);
        loops_ = outer;
        return block;
    }

    std::unique_ptr<Statement> jump_statement() {
        if (loops_ == 0) reader_.fail("expected a loop around break and continue");
        auto node = std::make_unique<Jump>();
        node->flow = reader_.take().text == "break" ? Flow::Break : Flow::Continue;
        end_tag();
        return node;
    }

    // Parses "x" or "x, y": names, lists of them in parentheses, and with `members` also
    // space.name.
    Target targets(bool members) {
        Target first = target(members);
        if (!reader_.is_operator(",")) return first;
        Target all;
        all.elements.push_back(std::move(first));
        while (reader_.accept_operator(",")) all.elements.push_back(target(members));
        return all;
    }

    Target target(bool members) {
        const TokenReader::Level level(reader_);
        if (reader_.accept_operator("(")) {
            Target inner = targets(members);
            reader_.expect_operator(")");
            return inner;
        }
        Target one;
        one.name = reader_.expect_name("a name to assign to");
        if (members && reader_.accept_operator("."))
            one.member = reader_.expect_name("the name of a member");
        return one;
    }

    TokenReader reader_;
    std::string end_;  // the name of the tag that ended the last body
    int loops_ = 0;    // loops around the statement that is parsed, inside its innermost body
};

}  // namespace

Block parse(std::string_view source) {
    return Parser(source).document();
}

}  // namespace vila::data::jinja
