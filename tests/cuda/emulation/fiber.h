#pragma once

// A fiber: a function call that can be suspended and resumed. One OS thread runs many, one at a
// time; a switch costs a dozen instructions on x86-64 and a system call elsewhere.

#include <cstddef>
#include <functional>
#include <memory>

namespace vila::emulation {

class Fiber {
  public:
    // Fibers that take turns have different numbers, so that their stacks begin at different
    // offsets in their pages and do not evict each other from the cache.
    explicit Fiber(size_t number);
    ~Fiber();
    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;

    // Prepares to call `body`. A suspended earlier body is dropped without running its destructors.
    // `body` must outlive the call and must not throw.
    void start(const std::function<void()>& body);
    // Runs the body until it suspends or ends. Returns whether it has ended.
    bool resume();
    // Called by the body: returns to the caller of resume().
    void suspend();

  private:
    static void enter(Fiber* fiber);

    struct Context;
    std::unique_ptr<Context> context_;
    const std::function<void()>* body_ = nullptr;
    bool ended_ = true;
};

}  // namespace vila::emulation
