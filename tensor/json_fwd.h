#pragma once

// Forward declaration of the JSON value type, for headers that only pass it on. See json.h.

#include <nlohmann/json_fwd.hpp>

namespace vila {

// A JSON value. Objects keep their members in the order of the file. Finding a member takes time
// linear in their number, so iterate over a large object (a vocabulary) instead of looking up its
// members.
using Json = nlohmann::ordered_json;

}  // namespace vila
