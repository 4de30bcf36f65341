#pragma once

// The environment variables that this program reads, all in one table. No other file calls getenv.

#include <cstdint>
#include <span>
#include <string>

namespace vila {

struct EnvironmentSwitch {
    const char* name;
    const char* default_value;
    const char* help;
};

// Every variable, as `vila --help` prints them.
std::span<const EnvironmentSwitch> environment_switches();

// The value of a variable in the table, or its default if the variable is unset or empty.
std::string environment(const char* name);
// The value as an integer. Throws Error if it is not one.
int64_t environment_int(const char* name);

}  // namespace vila
