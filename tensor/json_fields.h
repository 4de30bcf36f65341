#pragma once

// Typed access to the fields of a JSON object, with errors that name the source and the field:
// "llm/config.json: field hidden_size: expected a positive integer, got \"wide\"".

#include <cstdint>
#include <string>

#include "tensor/json.h"

namespace vila {

class JsonFields {
  public:
    // Throws when `json` is not an object. It must outlive this.
    JsonFields(const Json& json, std::string where);

    const std::string& where() const { return where_; }
    // Present and not null.
    bool has(const std::string& name) const;
    // The same access to an object inside this one; throws when it is absent.
    JsonFields object(const std::string& name) const;

    // Each throws when the value has the wrong type, and without a `fallback` when it is absent.
    // Integers must be at least 1 (or `least`).
    int64_t integer(const std::string& name) const;
    int64_t integer(const std::string& name, int64_t fallback, int64_t least = 1) const;
    double number(const std::string& name, double fallback) const;
    bool boolean(const std::string& name, bool fallback) const;
    std::string text(const std::string& name) const;
    std::string text(const std::string& name, const std::string& fallback) const;
    const Json& raw(const std::string& name) const;

    [[noreturn]] void fail(const std::string& name, const std::string& expected) const;

  private:
    const Json& json_;
    std::string where_;
};

}  // namespace vila
