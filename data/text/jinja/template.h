#pragma once

// A Jinja template, in which models publish their chat format: the subset of Jinja 3.1 that
// published chat templates use, with white space treated as in transformers.

#include <string>
#include <string_view>

#include "data/text/jinja/runtime.h"
#include "data/text/jinja/statements.h"

namespace vila::data::jinja {

class Template {
  public:
    // Parses `source`, which has at most 1 MiB. `where` is the file's name for errors. Throws Error
    // "WHERE line N: ..." if the source is not Jinja or uses what is not implemented.
    Template(std::string_view source, std::string where);

    // Returns the text for the given variables, an object. Throws Error "WHERE line N: ..." if the
    // template calls raise_exception(), uses a value of a wrong type, or exceeds `limits`.
    std::string render(const Json& variables, const Limits& limits = {}) const;

  private:
    std::string where_;
    Block block_;
};

}  // namespace vila::data::jinja
