#pragma once

// Messages for people: one line of bounded length.

#include <string>
#include <string_view>

namespace vila::tools {

// Returns a message as one line of at most kMaxMessage bytes (tensor/shortened.h).
std::string message_line(std::string_view text);

}  // namespace vila::tools
