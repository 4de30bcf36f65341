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
    Runtime(const Runtime&) = delete;
    Runtime& operator=(const Runtime&) = delete;

    // Counts one step, and one more for every 128 of the `bytes` that the step reads.
    void step(int64_t bytes = 0);
    // Counts memory. Call it before the memory is allocated.
    void take(int64_t bytes);

    // Each counts the memory of what it makes.
    void append(std::string& out, std::string_view part);
    std::string text_of(const Value& value);
    // Returns what a loop visits: the elements of a list, the keys of a dict, the characters of a
    // string; nothing for an undefined value. Throws Error for other types.
    List elements(const Value& value);

    // Returns the variable of the innermost visible scope that has it; Undefined if none has.
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

    // The place of a scope: its index, and a number that no other scope of the rendering has.
    struct Place {
        size_t index;
        int64_t number;
    };
    // Returns the innermost scope.
    Place place() const { return {scopes_.size() - 1, scopes_.back().number}; }

    // A scope of variables, for the body of a loop. It sees the scope around it.
    class Scope {
      public:
        explicit Scope(Runtime& runtime) : Scope(runtime, runtime.scopes_.size() - 1) {}
        ~Scope() { runtime_.scopes_.pop_back(); }
        Scope(const Scope&) = delete;
        Scope& operator=(const Scope&) = delete;

      private:
        friend class Runtime;
        Scope(Runtime& runtime, size_t parent);

        Runtime& runtime_;
    };

    // The scope of a macro: it sees the scope in which the macro was defined, not that of its
    // caller. Throws Error if that scope has ended.
    class MacroScope {
      public:
        MacroScope(Runtime& runtime, const Place& definition);
        ~MacroScope() { --runtime_.macros_; }
        MacroScope(const MacroScope&) = delete;
        MacroScope& operator=(const MacroScope&) = delete;

      private:
        Runtime& runtime_;
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
    struct Variables {
        std::map<std::string, Value> values;
        size_t parent = 0;  // the index of the scope that is visible too; its own for the first
        int64_t number = 0;
    };
    std::vector<Variables> scopes_;  // the first holds the template's variables
    int64_t scopes_made_ = 0;
    std::string output_;
    Limits limits_;
    int64_t steps_ = 0, read_bytes_ = 0, bytes_ = 0;
    int macros_ = 0, levels_ = 0, captures_ = 0;
};

}  // namespace vila::data::jinja
