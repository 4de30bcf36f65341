#pragma once

// The character map of a SentencePiece model: the byte sequences that normalization replaces first,
// compiled into a double array (Aoe 1989, An efficient digital search algorithm by using a
// double-array structure) in the layout of the Darts-clone library. Models named nmt_nfkc have one.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace vila::data {

class Charsmap {
  public:
    // No replacements.
    Charsmap() = default;
    // Throws one line that begins with `where` if the sizes are inconsistent.
    Charsmap(std::string_view bytes, const std::string& where);

    bool empty() const { return units_.empty(); }
    struct Match {
        int64_t bytes = 0;             // length of the longest match; 0: none
        std::string_view replacement;  // valid as long as the map
    };
    // Finds the longest sequence at the beginning of `text` that has a replacement. A damaged map
    // gives wrong replacements, but never causes a read outside it.
    Match longest(std::string_view text) const;

  private:
    std::vector<uint32_t> units_;
    std::string replacements_;  // each ends with a NUL byte
};

}  // namespace vila::data
