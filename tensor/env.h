#pragma once

// The environment variables this program reads: all of them, in one table. No other file calls
// getenv.

#include <cstdint>
#include <span>
#include <string>

namespace vila {

struct EnvironmentSwitch {
    const char* name;
    const char* default_value;
    const char* help;
};

// Every switch, for `vila --help` and for documents.
std::span<const EnvironmentSwitch> environment_switches();

// The value of a switch of the table: the environment's, or the default when unset or empty.
std::string environment(const char* name);
// The same as an integer; throws Error when it is none.
int64_t environment_int(const char* name);

}  // namespace vila
