#pragma once

// The JSON value type by name alone, for headers that only pass it on. See json.h.

#include <nlohmann/json_fwd.hpp>

namespace vila {

// A JSON value. Objects keep their members in the order of the file, and finding a member takes
// time linear in their number: walk a large object (a vocabulary) instead of looking members up.
using Json = nlohmann::ordered_json;

}  // namespace vila
