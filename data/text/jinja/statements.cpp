#include "data/text/jinja/statements.h"

#include <algorithm>
#include <cstddef>

#include "data/text/jinja/builtins.h"
#include "tensor/check.h"

namespace vila::data::jinja {

namespace {

// Returns the variable `loop` for element `i` of `list`.
Value loop_state(const List& list, size_t i) {
    const auto size = static_cast<int64_t>(list.size()), index = static_cast<int64_t>(i);
    const auto neighbor = [&](size_t at) {
        return at < list.size() ? list[at] : Value(Undefined{"the neighbor of an element"});
    };
    return Dict{{"index0", Value(index)},
                {"index", Value(index + 1)},
                {"revindex0", Value(size - index - 1)},
                {"revindex", Value(size - index)},
                {"first", Value(i == 0)},
                {"last", Value(index == size - 1)},
                {"length", Value(size)},
                {"depth0", Value(int64_t{0})},
                {"depth", Value(int64_t{1})},
                {"previtem", neighbor(i - 1)},
                {"nextitem", neighbor(i + 1)},
                {"cycle", Callable{"cycle", [i](const Arguments& a) {
                                       VILA_CHECK(!a.positional.empty(),
                                                  "loop.cycle() takes values");
                                       return a.positional[i % a.positional.size()];
                                   }}}};
}

// Returns the text that `body` prints, after the filters.
Value filtered_text(Runtime& runtime, const Block& body,
                    const std::vector<std::pair<std::string, ArgumentExpressions>>& filters) {
    Value text = runtime.captured([&] {
        const Runtime::Scope scope(runtime);
        run_block(body, runtime);
    });
    for (const auto& [name, arguments] : filters)
        text = apply_filter(runtime, name, text, arguments.evaluate(runtime));
    return text;
}

}  // namespace

Flow run_block(const Block& block, Runtime& runtime) {
    const Runtime::Level level(runtime);
    for (const auto& statement : block) {
        runtime.step();
        runtime.line = statement->line;
        const Flow flow = statement->run(runtime);
        if (flow != Flow::Normal) return flow;
    }
    return Flow::Normal;
}

void Target::assign(Runtime& runtime, const Value& value) const {
    if (!elements.empty()) {
        const List values = runtime.elements(value);
        VILA_CHECK_EQ(values.size(), elements.size(), "values to unpack");
        for (size_t i = 0; i < values.size(); ++i) elements[i].assign(runtime, values[i]);
        return;
    }
    if (member.empty()) {
        runtime.set(name, value);
        return;
    }
    runtime.take(Value::kNodeBytes);
    const Value space = runtime.lookup(name);
    VILA_CHECK(space.space() != nullptr, "cannot assign to ", name, ".", member,
               ": expected a namespace, got ", space.type_name());
    VILA_CHECK(!value.holds_space(), "cannot assign a namespace to a member of one");
    runtime.step(lookup_cost(space.space()->members, member));
    jinja::assign(space.space()->members, member, value);
}

Flow Text::run(Runtime& runtime) const {
    runtime.print(text);
    return Flow::Normal;
}

Flow Print::run(Runtime& runtime) const {
    const Value value = expression->evaluate(runtime);
    if (const std::string* printed = value.text())
        runtime.print(*printed);
    else
        runtime.print(runtime.text_of(value));
    return Flow::Normal;
}

Flow If::run(Runtime& runtime) const {
    for (const auto& [condition, body] : branches)
        if (condition == nullptr || condition->evaluate(runtime).is_true())
            return run_block(body, runtime);
    return Flow::Normal;
}

Flow For::run(Runtime& runtime) const {
    List values = runtime.elements(list->evaluate(runtime));
    if (condition != nullptr) {
        const Runtime::Scope scope(runtime);
        List kept;
        for (const Value& value : values) {
            target.assign(runtime, value);
            if (condition->evaluate(runtime).is_true()) kept.push_back(value);
        }
        values = std::move(kept);
    }
    if (values.empty()) {
        const Runtime::Scope scope(runtime);
        return run_block(otherwise, runtime);
    }
    for (size_t i = 0; i < values.size(); ++i) {
        const Runtime::Scope scope(runtime);
        runtime.step();
        runtime.set("loop", loop_state(values, i));
        target.assign(runtime, values[i]);
        if (run_block(body, runtime) == Flow::Break) break;
    }
    return Flow::Normal;
}

Flow Set::run(Runtime& runtime) const {
    target.assign(runtime, value != nullptr ? value->evaluate(runtime)
                                            : filtered_text(runtime, body, filters));
    return Flow::Normal;
}

Flow Macro::run(Runtime& runtime) const {
    runtime.set(name, Callable{name, [this, &runtime,
                                      definition = runtime.place()](const Arguments& arguments) {
                                   return call(runtime, definition, arguments);
                               }});
    return Flow::Normal;
}

Value Macro::call(Runtime& runtime, const Runtime::Place& definition,
                  const Arguments& arguments) const {
    const size_t given = arguments.positional.size();
    VILA_CHECK(given <= parameters.size(), "the macro ", name, " takes ", parameters.size(),
               " arguments, got ", given);
    for (const auto& argument : arguments.keywords) {
        const std::string& keyword = *argument.first.text();
        VILA_CHECK(
            std::any_of(parameters.begin() + static_cast<std::ptrdiff_t>(given), parameters.end(),
                        [&](const auto& one) { return one.first == keyword; }),
            "the macro ", name, " has no parameter ", keyword, ", or it is given twice");
    }
    const int line_of_call = runtime.line;
    const Runtime::MacroScope scope(runtime, definition);
    for (size_t i = 0; i < parameters.size(); ++i) {
        const auto& [parameter, otherwise] = parameters[i];
        const Value* argument = arguments.find(i, parameter);
        runtime.step();
        runtime.set(parameter, argument != nullptr    ? *argument
                               : otherwise != nullptr ? otherwise->evaluate(runtime)
                                                      : Value(Undefined{parameter}));
    }
    std::string text = runtime.captured([&] { run_block(body, runtime); });
    runtime.line = line_of_call;
    return text;
}

Flow With::run(Runtime& runtime) const {
    List values;
    for (const auto& variable : variables) values.push_back(variable.second->evaluate(runtime));
    const Runtime::Scope scope(runtime);
    for (size_t i = 0; i < values.size(); ++i) variables[i].first.assign(runtime, values[i]);
    return run_block(body, runtime);
}

Flow FilterBlock::run(Runtime& runtime) const {
    runtime.print(runtime.text_of(filtered_text(runtime, body, filters)));
    return Flow::Normal;
}

Flow Group::run(Runtime& runtime) const {
    const Runtime::Scope scope(runtime);
    return run_block(body, runtime);
}

}  // namespace vila::data::jinja
