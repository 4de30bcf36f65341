#pragma once

// A fiber: a call that can be left in the middle and gone on with later. One OS thread runs many,
// one at a time; leaving one costs a dozen instructions on x86-64 and a system call elsewhere.

#include <cstddef>
#include <functional>
#include <memory>

namespace vila::emulation {

class Fiber {
  public:
    // Fibers that take turns have different numbers: their stacks then begin at different places in
    // their pages, and do not push each other out of the cache.
    explicit Fiber(size_t number);
    ~Fiber();
    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;

    // Prepares to call `body`. A body that was left in the middle is forgotten: its destructors do
    // not run. `body` must live until it has ended, and must not throw.
    void start(const std::function<void()>& body);
    // Goes on with the body until it calls leave() or ends; returns whether it has ended.
    bool run();
    // From inside the body: back to whoever called run().
    void leave();

  private:
    static void enter(Fiber* fiber);

    struct Context;
    std::unique_ptr<Context> context_;
    const std::function<void()>* body_ = nullptr;
    bool ended_ = true;
};

}  // namespace vila::emulation
