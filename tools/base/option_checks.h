#pragma once

// Checks of options that only some modes of a command use.

#include <initializer_list>
#include <string>

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

}  // namespace vila::tools
