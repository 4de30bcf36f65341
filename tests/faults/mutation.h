#pragma once

// Random changes of files, for tests of readers: bytes of any file, values of text formats.

#include <cstdint>
#include <string>

namespace vila {

// A sequence of random numbers that is a function of its key.
class Dice {
  public:
    explicit Dice(uint64_t key) : key_(key) {}
    // A number in [0, n), 0 for n = 0.
    size_t below(size_t n);

  private:
    uint64_t key_;
    uint64_t next_ = 0;
};

// Changes some bytes: flips, overwrites, inserts, deletes, repeats, swaps or cuts off.
void change_bytes(std::string& bytes, Dice& dice);

// Replaces a value of a JSON or TOML text, what stands after a ':' or '=', by one that is unusual:
// a number out of range, another type, deep nesting, a long text, control characters. Changes bytes
// if there is no value.
void change_value(std::string& text, Dice& dice);

}  // namespace vila
