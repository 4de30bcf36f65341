#pragma once

// What every rank does at the same place, and what becomes of it when one of them fails.

#include <functional>
#include <string>

#include "dist/collectives.h"
#include "tensor/check.h"

namespace vila::dist {

// An error that every rank has, with the same message, at the same place: the job may end in good
// order, and one of them is enough to say it.
class AgreedError : public Error {
  public:
    using Error::Error;
};

// Runs `body`, which must not speak to other ranks, and waits for the others. When it threw on any
// of them, throws AgreedError on all: with the first failing rank's message, named unless all
// failed alike.
void agree(Collectives& collectives, const std::function<void()>& body);
// The same for a failure that was caught before; empty: none.
void agree(Collectives& collectives, const std::string& failure);
// Throws AgreedError on all ranks unless they have the same text; the message shows the first line
// that differs. `what` names it: "recipe".
void check_same(Collectives& collectives, const std::string& what, const std::string& text);

}  // namespace vila::dist
