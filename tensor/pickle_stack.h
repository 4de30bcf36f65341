#pragma once

// The state of the interpreter of torch_pickle.cpp: a stack of values, marks on it, and the memo. A
// mistake in the pickle (a value popped from an empty stack, a value of another kind) throws an
// Error without a position; the interpreter adds it.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/shape.h"

namespace vila::pickle {

// What a global that the pickle names stands for.
enum class Global { OrderedDict, RebuildTensor, RebuildParameter, Size, Storage, DTypeName };

struct GlobalName {
    std::string_view module, name;
    Global global;
    std::string_view dtype = {};
};

enum class Kind { None, Bool, Int, Float, Text, Tuple, List, Dict, Global, Storage, Tensor };

const char* kind_text(Kind kind);

// A value. It refers to the values that it contains by their index in the interpreter's list.
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
    // Pushes the value at `index` again.
    void push_again(size_t index) { stack_.push_back(index); }
    void push_tuple(size_t count);
    void mark() { marks_.push_back(stack_.size()); }
    // Removes the value on top and returns its index.
    size_t pop();
    // Removes the values above the last mark, and the mark, and returns their indices.
    std::vector<size_t> pop_to_mark();
    // The value on top, which stays there and must be a container of that kind.
    Value& container(Kind kind);

    // The memo: store the value on top under a key, and push the value of a key.
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
