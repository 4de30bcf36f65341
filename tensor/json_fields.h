#pragma once

// Typed access to the fields of a JSON object, with errors that name the source and the field:
// "llm/config.json: field hidden_size: expected a positive integer, got \"wide\"".

#include <cstdint>
#include <string>
#include <vector>

#include "tensor/json.h"

namespace vila {

class JsonFields {
  public:
    // Throws when `json` is not an object. `json` must outlive this object.
    JsonFields(const Json& json, std::string where);

    const std::string& where() const { return where_; }
    // Whether the field is present and not null.
    bool has(const std::string& name) const;
    // The fields of a nested object. Throws when it is absent.
    JsonFields object(const std::string& name) const;

    // The value of a field. For an absent or null field, functions with a `fallback` return it, and
    // the others throw, except list(). All throw when the value has the wrong type. Integers must
    // be in [least, 2^40]; `least` is 1 by default. Numbers must be finite, also as float.
    int64_t integer(const std::string& name) const;
    int64_t integer(const std::string& name, int64_t fallback, int64_t least = 1) const;
    double number(const std::string& name, double fallback) const;
    // A number above 0 (also as float), and a number of at least 0.
    double positive_number(const std::string& name, double fallback) const;
    double number_from_zero(const std::string& name, double fallback) const;
    bool boolean(const std::string& name, bool fallback) const;
    std::string text(const std::string& name) const;
    std::string text(const std::string& name, const std::string& fallback) const;
    // The numbers of a list, which must have this size.
    std::vector<double> numbers(const std::string& name, size_t size) const;
    // A list; empty if the field is absent.
    const Json& list(const std::string& name) const;
    // A value of any type. Throws when it is absent.
    const Json& raw(const std::string& name) const;

    // Throws "WHERE: field NAME: expected EXPECTED, got VALUE".
    [[noreturn]] void fail(const std::string& name, const std::string& expected) const;

  private:
    const Json& json_;
    std::string where_;
};

}  // namespace vila
