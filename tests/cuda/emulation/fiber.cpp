#include "tests/cuda/emulation/fiber.h"

#include <sys/mman.h>

#include <cstdint>

#include "tensor/check.h"

#if defined(__SANITIZE_ADDRESS__)
#define VILA_ADDRESS_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define VILA_ADDRESS_SANITIZER
#endif
#endif
#if defined(VILA_ADDRESS_SANITIZER)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace vila::emulation {

namespace {

// Kernels need little stack, but several times as much under sanitizers. Only pages that are
// touched use memory.
constexpr size_t kStackBytes = size_t{128} << 10;

// Returns the offset at which the stack of fiber `number` begins (stacks grow down) in its memory;
// see the constructor in fiber.h.
size_t stack_begin(size_t number) {
    constexpr size_t kPlaces = 64, kStep = 192;
    return kStackBytes - 64 - number % kPlaces * kStep;
}

// A stack that execution leaves. AddressSanitizer must be notified before and after every switch,
// with the bounds of the other stack.
struct StackChange {
    void* fake_frames = nullptr;  // of the stack being left
    const void* bottom = nullptr;
    size_t bytes = 0;
};
// Call before a switch to the stack of `bytes` bytes at `bottom`. for_good: the stack that is left
// will not run again.
void leaves_stack([[maybe_unused]] StackChange& left, [[maybe_unused]] const void* bottom,
                  [[maybe_unused]] size_t bytes, [[maybe_unused]] bool for_good = false) {
#if defined(VILA_ADDRESS_SANITIZER)
    __sanitizer_start_switch_fiber(for_good ? nullptr : &left.fake_frames, bottom, bytes);
#endif
}
// Call after a switch. Sets `came_from` to the bounds of the stack that was left.
void entered_stack([[maybe_unused]] const StackChange& entered,
                   [[maybe_unused]] StackChange& came_from) {
#if defined(VILA_ADDRESS_SANITIZER)
    __sanitizer_finish_switch_fiber(entered.fake_frames, &came_from.bottom, &came_from.bytes);
#endif
}

// Clears the marks that AddressSanitizer keeps for the frames of a dropped body.
void unpoison([[maybe_unused]] void* stack) {
#if defined(VILA_ADDRESS_SANITIZER)
    ASAN_UNPOISON_MEMORY_REGION(stack, kStackBytes);
#endif
}

}  // namespace

#if defined(__x86_64__)

// Pushes the callee-saved registers, stores the stack pointer at *from, and continues on the stack
// `to`.
extern "C" void vila_switch_stack(void** from, void* to);
asm(R"(
.text
.globl vila_switch_stack
.type vila_switch_stack, @function
vila_switch_stack:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size vila_switch_stack, .-vila_switch_stack
.globl vila_enter_fiber
.type vila_enter_fiber, @function
vila_enter_fiber:
    movq %rbx, %rdi
    callq *%rbp
    ud2
.size vila_enter_fiber, .-vila_enter_fiber
)");
extern "C" void vila_enter_fiber();

struct Fiber::Context {
    char* stack = nullptr;
    size_t begin = 0;
    StackChange fiber, caller;
    void* fiber_pointer = nullptr;
    void* caller_pointer = nullptr;

    // Prepares the registers that vila_switch_stack pops: rbx is the fiber, rbp the function to
    // call.
    void prepare(void (*function)(Fiber*), Fiber* fiber) {
        auto* top = reinterpret_cast<void**>(stack + begin);
        void** frame = top - 7;
        frame[0] = frame[1] = frame[2] = frame[3] = nullptr;  // r15 to r12
        frame[4] = fiber;
        frame[5] = reinterpret_cast<void*>(function);
        frame[6] = reinterpret_cast<void*>(&vila_enter_fiber);
        fiber_pointer = frame;
    }
    void to_fiber() { vila_switch_stack(&caller_pointer, fiber_pointer); }
    void to_caller() { vila_switch_stack(&fiber_pointer, caller_pointer); }
};

#else

struct Fiber::Context {
    char* stack = nullptr;
    size_t begin = 0;
    StackChange fiber, caller;
    ucontext_t fiber_context{}, caller_context{};

    static void enter_halves(unsigned int low, unsigned int high, unsigned int function_low,
                             unsigned int function_high) {
        const auto join = [](unsigned int a, unsigned int b) { return uint64_t{b} << 32 | a; };
        reinterpret_cast<void (*)(Fiber*)>(join(function_low, function_high))(
            reinterpret_cast<Fiber*>(join(low, high)));
    }
    // makecontext passes ints, so each pointer is passed as two halves.
    void prepare(void (*function)(Fiber*), Fiber* fiber) {
        getcontext(&fiber_context);
        fiber_context.uc_stack.ss_sp = stack;
        fiber_context.uc_stack.ss_size = begin;
        fiber_context.uc_link = nullptr;
        const auto whole = reinterpret_cast<uint64_t>(fiber);
        const auto target = reinterpret_cast<uint64_t>(function);
        makecontext(&fiber_context, reinterpret_cast<void (*)()>(enter_halves), 4,
                    static_cast<unsigned int>(whole), static_cast<unsigned int>(whole >> 32),
                    static_cast<unsigned int>(target), static_cast<unsigned int>(target >> 32));
    }
    void to_fiber() { swapcontext(&caller_context, &fiber_context); }
    void to_caller() { swapcontext(&fiber_context, &caller_context); }
};

#endif

Fiber::Fiber(size_t number) : context_(std::make_unique<Context>()) {
    void* memory = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    VILA_CHECK(memory != MAP_FAILED, "no memory for the stack of an emulated thread");
    context_->stack = static_cast<char*>(memory);
    context_->begin = stack_begin(number);
}

Fiber::~Fiber() {
    unpoison(context_->stack);
    munmap(context_->stack, kStackBytes);
}

void Fiber::start(const std::function<void()>& body) {
    body_ = &body;
    ended_ = false;
    unpoison(context_->stack);
    context_->prepare(&Fiber::enter, this);
}

bool Fiber::resume() {
    VILA_ASSERT(!ended_);
    Context& c = *context_;
    leaves_stack(c.caller, c.stack, kStackBytes);
    c.to_fiber();
    StackChange fiber_stack;
    entered_stack(c.caller, fiber_stack);
    return ended_;
}

void Fiber::suspend() {
    Context& c = *context_;
    leaves_stack(c.fiber, c.caller.bottom, c.caller.bytes);
    c.to_caller();
    entered_stack(c.fiber, c.caller);
}

void Fiber::enter(Fiber* fiber) {
    Context& c = *fiber->context_;
    entered_stack({}, c.caller);
    (*fiber->body_)();
    fiber->ended_ = true;
    leaves_stack(c.fiber, c.caller.bottom, c.caller.bytes, true);
    c.to_caller();
}

}  // namespace vila::emulation
