#pragma once

// What the interpreter of torch_pickle.cpp computes with: a stack of values, marks on it, and the
// memo. A mistake of the pickle (a value taken where there is none, one of another kind) throws
// Error without a place; the interpreter adds it.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/shape.h"

namespace vila::pickle {

// What a global of the pickle stands for here.
enum class Global { OrderedDict, RebuildTensor, RebuildParameter, Size, Storage, DTypeName };

struct GlobalName {
    std::string_view module, name;
    Global global;
    std::string_view dtype = {};
};

enum class Kind { None, Bool, Int, Float, Text, Tuple, List, Dict, Global, Storage, Tensor };

const char* kind_text(Kind kind);

// A value; those it contains are named by their places in the interpreter's list.
struct Value {
    Kind kind = Kind::None;
    int64_t number = 0;  // Int, Bool; Storage: its elements; Tensor: its place in the list of them
    std::string text = {};               // Text; Storage: its key
    std::vector<size_t> items = {};      // Tuple, List; Dict: keys and values in turn
    const GlobalName* global = nullptr;  // Global; Storage and Tensor: of their elements
    bool is_ordered = false;             // Dict: an OrderedDict
};

class PickleStack {
  public:
    const Value& value(size_t index) const { return values_[index]; }
    size_t depth() const { return stack_.size(); }
    bool has_marks() const { return !marks_.empty(); }

    void push(Value value);
    // Once more the value at `index`.
    void push_again(size_t index) { stack_.push_back(index); }
    void push_tuple(size_t count);
    void mark() { marks_.push_back(stack_.size()); }
    // The index of the value on top, which leaves the stack.
    size_t pop();
    // Everything above the last mark.
    std::vector<size_t> pop_to_mark();
    // The value on top, which stays: a container of that kind.
    Value& container(Kind kind);

    // The memo: the value on top under a key, and back.
    void remember(uint64_t key);
    void recall(uint64_t key);

    // Item `index` of a tuple or dictionary, which must be of that kind.
    const Value& item(const Value& tuple, size_t index, Kind kind, const char* what) const;
    // A tuple of numbers that are not negative.
    Shape numbers(const Value& tuple, const char* what) const;

  private:
    size_t top() const;

    std::vector<Value> values_;
    std::vector<size_t> stack_, marks_;
    std::map<uint64_t, size_t> memo_;
};

}  // namespace vila::pickle
