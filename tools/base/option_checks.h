#pragma once

// Checks of options that the declaration of an option does not make.

#include <initializer_list>
#include <string>

#include "data/text/unicode.h"
#include "tools/base/args.h"

namespace vila::tools {

// Throws UsageError "--batch has no effect WHEN: leave it out" if the command line has one of the
// options or flags in `names`, which the command would ignore. Call after args.parse().
inline void refuse_options(const Args& args, std::initializer_list<const char*> names,
                           const std::string& when) {
    for (const char* name : names)
        if (args.is_given(name))
            throw UsageError(str(name, " has no effect ", when, ": leave it out"));
}

// Throws UsageError unless the value of the option is text in UTF-8.
inline void check_utf8(const char* name, const std::string& value) {
    if (data::valid_utf8(value) != value)
        throw UsageError(str(name, ": expected text in UTF-8, got other bytes"));
}

}  // namespace vila::tools
