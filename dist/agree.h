#pragma once

// Makes all ranks fail together when one of them fails or disagrees with the others.

#include <functional>
#include <string>

#include "dist/collectives.h"
#include "tensor/check.h"

namespace vila::dist {

// An error that every rank throws, with the same message, from the same call. So all ranks can shut
// down in an orderly way, and only one needs to report it.
class AgreedError : public Error {
  public:
    using Error::Error;
};

// Runs `body` on every rank, then compares the outcomes. If `body` threw on any rank, throws
// AgreedError on all of them, with the message of the first rank that failed; the message names
// that rank unless all ranks failed with the same message. `body` must not use collectives.
void agree(Collectives& collectives, const std::function<void()>& body);
// The same for an error that the caller has caught already: `failure` is its message, or empty for
// success.
void agree(Collectives& collectives, const std::string& failure);
// Throws AgreedError on all ranks unless all have the same text. The message shows the first line
// that differs. `what` names the text: "recipe", "data".
void check_same(Collectives& collectives, const std::string& what, const std::string& text);

}  // namespace vila::dist
