#pragma once

// Lists of names for error messages and help texts.

#include <string>
#include <vector>

namespace vila {

// "a", "a or b", "a, b or c"; empty without names.
inline std::string name_list(const std::vector<std::string>& names) {
    std::string list;
    for (size_t i = 0; i < names.size(); ++i) {
        if (i > 0) list += i + 1 == names.size() ? " or " : ", ";
        list += names[i];
    }
    return list;
}

}  // namespace vila
