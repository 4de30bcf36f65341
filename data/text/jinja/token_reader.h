#pragma once

// Reads the tokens of a template in order. Errors name the line.

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/text/jinja/lexer.h"
#include "tensor/check.h"

namespace vila::data::jinja {

class TokenReader {
  public:
    explicit TokenReader(std::string_view source) : tokens_(tokenize(source)) {}

    const Token& next() const { return tokens_[at_]; }
    // Returns the token after the next.
    const Token& second() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
    bool is(Token::Kind kind) const { return next().kind == kind; }
    bool is_operator(std::string_view text) const { return next().is(Token::Kind::Operator, text); }
    bool is_name(std::string_view text) const { return next().is(Token::Kind::Name, text); }

    Token take() {
        const Token token = next();
        if (at_ + 1 < tokens_.size()) ++at_;
        return token;
    }
    bool accept_operator(std::string_view text) { return is_operator(text) && (take(), true); }
    bool accept_name(std::string_view text) { return is_name(text) && (take(), true); }
    void expect_operator(std::string_view text) {
        if (!accept_operator(text)) fail(str("expected '", text, "'"));
    }
    void expect(Token::Kind kind, std::string_view what) {
        if (!is(kind)) fail(str("expected ", what));
        take();
    }
    std::string expect_name(std::string_view what) {
        if (!is(Token::Kind::Name)) fail(str("expected ", what));
        return take().text;
    }

    // Throws "line N: WHAT, got TOKEN".
    [[noreturn]] void fail(const std::string& what) const {
        const Token& token = next();
        const std::string got = !token.text.empty() ? "'" + token.text.substr(0, 40) + "'"
                                : token.kind == Token::Kind::End ? "the end of the template"
                                                                 : "the end of the tag";
        throw Error(str("line ", token.line, ": ", what, ", got ", got));
    }

    // Counts a level of recursion of the parser while it lives.
    class Level {
      public:
        explicit Level(TokenReader& reader) : reader_(reader) {
            if (++reader_.depth_ > kMaxDepth)
                reader_.fail(str("nested more than ", kMaxDepth, " levels deep"));
        }
        ~Level() { --reader_.depth_; }
        Level(const Level&) = delete;
        Level& operator=(const Level&) = delete;

      private:
        static constexpr int kMaxDepth = 100;
        TokenReader& reader_;
    };

  private:
    std::vector<Token> tokens_;
    size_t at_ = 0;
    int depth_ = 0;
};

}  // namespace vila::data::jinja
