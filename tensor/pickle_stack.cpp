#include "tensor/pickle_stack.h"

#include "tensor/check.h"

namespace vila::pickle {

namespace {

// A file of ten thousand tensors needs about 250,000.
constexpr size_t kMaxValues = 2'000'000;

}  // namespace

const char* kind_text(Kind kind) {
    constexpr const char* kNames[] = {"None",     "a bool",    "an integer", "a float",
                                      "text",     "a tuple",   "a list",     "a dictionary",
                                      "a global", "a storage", "a tensor"};
    return kNames[static_cast<int>(kind)];
}

void PickleStack::push(Value value) {
    VILA_CHECK(values_.size() < kMaxValues, "it makes more than ", kMaxValues, " values");
    values_.push_back(std::move(value));
    stack_.push_back(values_.size() - 1);
}

void PickleStack::push_tuple(size_t count) {
    std::vector<size_t> items(count);
    for (size_t i = count; i-- > 0;) items[i] = pop();
    push({.kind = Kind::Tuple, .items = std::move(items)});
}

size_t PickleStack::top() const {
    const size_t floor = marks_.empty() ? 0 : marks_.back();
    VILA_CHECK(stack_.size() > floor, "it takes a value where there is none");
    return stack_.back();
}

size_t PickleStack::pop() {
    const size_t index = top();
    stack_.pop_back();
    return index;
}

std::vector<size_t> PickleStack::pop_to_mark() {
    VILA_CHECK(!marks_.empty(), "it goes back to a mark where there is none");
    std::vector<size_t> items(stack_.begin() + static_cast<int64_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
}

Value& PickleStack::container(Kind kind) {
    Value& value = values_[top()];
    VILA_CHECK(value.kind == kind, "it adds to ", kind_text(value.kind), " as to ",
               kind_text(kind));
    return value;
}

void PickleStack::remember(uint64_t key) {
    memo_[key] = top();
}

void PickleStack::recall(uint64_t key) {
    const auto found = memo_.find(key);
    VILA_CHECK(found != memo_.end(), "it recalls value ", key, ", which it never stored");
    stack_.push_back(found->second);
}

const Value& PickleStack::item(const Value& tuple, size_t index, Kind kind,
                               const char* what) const {
    const Value& value = values_[tuple.items[index]];
    VILA_CHECK(value.kind == kind, what, ": expected ", kind_text(kind), ", got ",
               kind_text(value.kind));
    return value;
}

Shape PickleStack::numbers(const Value& tuple, const char* what) const {
    VILA_CHECK(tuple.items.size() <= Shape::kMaxRank, what, " has more than ", Shape::kMaxRank,
               " axes");
    Shape result;
    for (size_t i = 0; i < tuple.items.size(); ++i) {
        result.push_back(item(tuple, i, Kind::Int, what).number);
        VILA_CHECK(result[-1] >= 0, what, " holds the negative number ", result[-1]);
    }
    return result;
}

}  // namespace vila::pickle
