#pragma once

// The state of one rendering: its variables, its output, and how much of its limits it has used.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "data/text/jinja/value.h"

namespace vila::data::jinja {

// A rendering that exceeds one of these throws Error, so that a hostile template ends.
struct Limits {
    int64_t steps = 2'000'000;           // expressions and statements evaluated; see step()
    int64_t bytes = int64_t{64} << 20;   // memory of all texts and lists made on the way
    int64_t output = int64_t{16} << 20;  // bytes printed
    int macros = 50;                     // macro calls inside one another
    int levels = 2000;                   // expressions inside one another, over all macros
};

class Runtime {
  public:
    explicit Runtime(const Limits& limits) : scopes_(1), limits_(limits) {}

    // Counts one step, and one more for every 4 KiB of the `bytes` that the step reads.
    void step(int64_t bytes = 0);
    // Counts memory. Call it before the memory is allocated.
    void take(int64_t bytes);

    // Each counts the memory of what it makes.
    void append(std::string& out, std::string_view part);
    std::string text_of(const Value& value);
    // Returns what a loop visits: the elements of a list, the keys of a dict, the characters of a
    // string; nothing for an undefined value. Throws Error for other types.
    List elements(const Value& value);

    // Returns the variable of the innermost scope that has it; Undefined if none has.
    Value lookup(const std::string& name) const;
    // Sets a variable of the innermost scope.
    void set(const std::string& name, Value value);

    void print(std::string_view text);

    int line = 0;  // of the statement that runs
    std::string& output() { return output_; }

    // Counts a level of recursion while it lives.
    class Level {
      public:
        explicit Level(Runtime& runtime);
        ~Level() { --runtime_.levels_; }
        Level(const Level&) = delete;
        Level& operator=(const Level&) = delete;

      private:
        Runtime& runtime_;
    };

    // A scope of variables, for the body of a loop.
    class Scope {
      public:
        explicit Scope(Runtime& runtime) : runtime_(runtime) { runtime_.scopes_.emplace_back(); }
        ~Scope() { runtime_.scopes_.pop_back(); }
        Scope(const Scope&) = delete;
        Scope& operator=(const Scope&) = delete;

      private:
        Runtime& runtime_;
    };

    // The scope of a macro: it sees the variables of the template, but not those of its caller.
    class MacroScope {
      public:
        explicit MacroScope(Runtime& runtime);
        ~MacroScope();
        MacroScope(const MacroScope&) = delete;
        MacroScope& operator=(const MacroScope&) = delete;

      private:
        Runtime& runtime_;
        const size_t outer_;  // the caller's visible_from_
        const Scope scope_;
    };

    // Runs the body of a macro or of a block set and returns what it printed. An exception ends the
    // rendering, so the output is not restored for it.
    template <typename Body>
    std::string captured(const Body& body) {
        std::string outer;
        outer.swap(output_);
        ++captures_;
        body();
        --captures_;
        outer.swap(output_);
        return outer;
    }

  private:
    std::vector<std::map<std::string, Value>> scopes_;  // the first holds the template's variables
    // The macro that runs does not see the scopes before this one, except the first.
    size_t visible_from_ = 0;
    std::string output_;
    Limits limits_;
    int64_t steps_ = 0, read_bytes_ = 0, bytes_ = 0;
    int macros_ = 0, levels_ = 0, captures_ = 0;
};

}  // namespace vila::data::jinja
