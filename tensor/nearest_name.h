#pragma once

// Suggestions for misspelled names in error messages.

#include <string>
#include <vector>

namespace vila {

// The candidate with the smallest edit distance (Levenshtein 1966) to `name`; the first of equals;
// empty when there are no candidates.
std::string nearest_name(const std::string& name, const std::vector<std::string>& candidates);

}  // namespace vila
