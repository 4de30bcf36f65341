#pragma once

// Streams of the emulation. At first a stream does everything at once, when it is asked to. A
// machine that is `asynchronous` (device.h) gives each new stream an OS thread of its own, which
// works through what was asked for in order, and dawdles at random: what another stream must wait
// for and does not shows as other bits.

#include <functional>

#include "tests/cuda/emulation/memory.h"

namespace vila::emulation {

bool is_asynchronous(cudaStream_t stream);
// Does `work` in the order of the stream: now, or later on the stream's thread. What it throws
// there makes the stream fail: cudaStreamSynchronize() returns an error from then on.
void in_stream(cudaStream_t stream, std::function<void()> work);
// Waits for every stream that this OS thread has made.
void finish_streams();

}  // namespace vila::emulation

// The same for a library that is opened at run time and finds it by name: tests/dist/fake_nccl.cpp.
// What `work` returns beside 0 is a failure.
extern "C" int vila_emulated_in_stream(void* stream, int (*work)(void* data), void* data);
