#pragma once

// A Jinja template, as tokenizers carry it for their chat format: the subset of Jinja 3.1 that
// published chat templates use, with white space controlled as transformers sets it.

#include <string>
#include <string_view>

#include "data/text/jinja/runtime.h"
#include "data/text/jinja/statements.h"

namespace vila::data::jinja {

class Template {
  public:
    // Parses `source`, of at most 1 MiB. `where` names it in errors: "FILE: chat template".
    // Throws Error "WHERE line N: ..." for what is no Jinja or is not implemented.
    Template(std::string_view source, std::string where);

    // The text for the given variables, an object. Throws Error "WHERE line N: ..." for what the
    // template refuses (raise_exception), for wrong types, and where it uses up `limits`.
    std::string render(const Json& variables, const Limits& limits = {}) const;

  private:
    std::string where_;
    Block block_;
};

}  // namespace vila::data::jinja
