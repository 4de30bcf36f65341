#pragma once

// The state of one rendering: variables, output and what is left of its budget.

#include <string>
#include <string_view>
#include <vector>

#include "data/text/jinja/value.h"

namespace vila::data::jinja {

// A hostile template is stopped by these.
struct Limits {
    int64_t steps = 2'000'000;           // expressions and statements run
    int64_t bytes = int64_t{64} << 20;   // of all text and lists made on the way
    int64_t output = int64_t{16} << 20;  // bytes printed
    int depth = 50;                      // macros that call each other
};

class Runtime {
  public:
    Runtime(Dict globals, const Limits& limits) : scopes_{std::move(globals)}, limits_(limits) {}

    // Counts one step, or memory taken; throws where the budget is used up.
    void step();
    void take(int64_t bytes);

    // The variable, from the innermost scope that has it; Undefined if none has.
    Value lookup(const std::string& name) const;
    // Sets a variable of the innermost scope.
    void set(const std::string& name, Value value);

    void print(std::string_view text);

    int line = 0;  // of the statement that runs
    std::string& output() { return output_; }

    // A scope of its own, for the body of a loop or macro.
    class Scope {
      public:
        explicit Scope(Runtime& runtime) : runtime_(runtime) { runtime_.scopes_.emplace_back(); }
        ~Scope() { runtime_.scopes_.pop_back(); }
        Scope(const Scope&) = delete;
        Scope& operator=(const Scope&) = delete;

      private:
        Runtime& runtime_;
    };

    // The scopes inside a macro: it sees the variables of the template, not those of its caller.
    class MacroScope {
      public:
        explicit MacroScope(Runtime& runtime);
        ~MacroScope();
        MacroScope(const MacroScope&) = delete;
        MacroScope& operator=(const MacroScope&) = delete;

      private:
        Runtime& runtime_;
        std::vector<Dict> hidden_;  // the scopes of the caller
    };

    // Runs the body of a macro or of a block set; returns what it printed.
    template <typename Body>
    std::string captured(const Body& body) {
        std::string outer;
        outer.swap(output_);
        body();
        outer.swap(output_);
        return outer;
    }

  private:
    std::vector<Dict> scopes_;
    std::string output_;
    Limits limits_;
    int64_t steps_ = 0, bytes_ = 0;
    int macros_ = 0;
};

}  // namespace vila::data::jinja
