#pragma once

// Barriers, shuffles, votes and atomics, emulated; included by cuda_runtime.h. Each call that waits
// passes its source position: threads that wait for each other must wait at the same one.

#include <cstdint>
#include <cstring>

#include "tests/cuda/emulation/launch.h"

namespace vila::emulation {

// Suspends the running thread, which waits at file:line, until the scheduler completes its
// operation.
void wait_for(Wait what, const char* file, int line);

template <typename T>
T shuffle(unsigned int mask, T value, int source, const char* file, int line) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles move 4 or 8 bytes");
    ThreadState& thread = *running_thread;
    thread.mask = mask;
    thread.source = source;
    thread.value = 0;
    std::memcpy(&thread.value, &value, sizeof(T));
    wait_for(Wait::Shuffle, file, line);
    std::memcpy(&value, &thread.value, sizeof(T));
    return value;
}

// Calls operation(arguments of all 32 lanes) once all lanes wait here.
inline void with_warp(void (*operation)(void* const* lanes), void* arguments, const char* file,
                      int line) {
    ThreadState& thread = *running_thread;
    thread.mask = 0xffffffffU;
    thread.operation = operation;
    thread.arguments = arguments;
    wait_for(Wait::WarpOperation, file, line);
}

// The lane that a shuffle reads: `wanted` if it is in the caller's segment of `width` lanes, else
// the caller's own.
inline int segment_lane(int wanted, int width) {
    const int lane = running_thread->lane;
    return wanted >= 0 && wanted / width == lane / width && wanted < 32 ? wanted : lane;
}

}  // namespace vila::emulation

// NOLINTBEGIN: names are CUDA's.
inline void __syncthreads(int line = __builtin_LINE(), const char* file = __builtin_FILE()) {
    vila::emulation::wait_for(vila::emulation::Wait::Barrier, file, line);
}

inline void __syncwarp(unsigned int mask = 0xffffffffU, int line = __builtin_LINE(),
                       const char* file = __builtin_FILE()) {
    vila::emulation::running_thread->mask = mask;
    vila::emulation::wait_for(vila::emulation::Wait::SyncWarp, file, line);
}

template <typename T>
T __shfl_sync(unsigned int mask, T value, int lane, int width = 32, int line = __builtin_LINE(),
              const char* file = __builtin_FILE()) {
    const int base = vila::emulation::running_thread->lane / width * width;
    return vila::emulation::shuffle(mask, value, base + (lane & (width - 1)), file, line);
}

template <typename T>
T __shfl_xor_sync(unsigned int mask, T value, int lane_mask, int width = 32,
                  int line = __builtin_LINE(), const char* file = __builtin_FILE()) {
    const int wanted = vila::emulation::running_thread->lane ^ lane_mask;
    return vila::emulation::shuffle(mask, value, vila::emulation::segment_lane(wanted, width), file,
                                    line);
}

template <typename T>
T __shfl_down_sync(unsigned int mask, T value, unsigned int distance, int width = 32,
                   int line = __builtin_LINE(), const char* file = __builtin_FILE()) {
    const int wanted = vila::emulation::running_thread->lane + static_cast<int>(distance);
    return vila::emulation::shuffle(mask, value, vila::emulation::segment_lane(wanted, width), file,
                                    line);
}

inline unsigned int __ballot_sync(unsigned int mask, int predicate, int line = __builtin_LINE(),
                                  const char* file = __builtin_FILE()) {
    vila::emulation::ThreadState& thread = *vila::emulation::running_thread;
    thread.mask = mask;
    thread.value = predicate != 0 ? 1 : 0;
    vila::emulation::wait_for(vila::emulation::Wait::Ballot, file, line);
    return static_cast<unsigned int>(thread.value);
}

inline int __any_sync(unsigned int mask, int predicate, int line = __builtin_LINE(),
                      const char* file = __builtin_FILE()) {
    return __ballot_sync(mask, predicate, line, file) != 0 ? 1 : 0;
}

inline int __all_sync(unsigned int mask, int predicate, int line = __builtin_LINE(),
                      const char* file = __builtin_FILE()) {
    return __ballot_sync(mask, predicate, line, file) == mask ? 1 : 0;
}

// Threads take turns only where they wait, so an ordinary read and write is atomic.
template <typename T>
T atomicAdd(T* address, T value) {
    const T before = *address;
    *address = before + value;
    return before;
}

template <typename T>
T atomicMin(T* address, T value) {
    const T before = *address;
    if (value < before) *address = value;
    return before;
}

template <typename T>
T atomicMax(T* address, T value) {
    const T before = *address;
    if (before < value) *address = value;
    return before;
}

template <typename T>
T atomicCAS(T* address, T expected, T value) {
    const T before = *address;
    if (before == expected) *address = value;
    return before;
}
// NOLINTEND
