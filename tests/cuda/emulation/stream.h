#pragma once

// Streams, emulated. By default a stream runs work as soon as it is enqueued. On an `asynchronous`
// machine (device.h) each new stream has an OS thread of its own, which runs the work in order with
// random pauses, so that a missing wait between streams changes the results.

#include <functional>

#include "tests/cuda/emulation/memory.h"

namespace vila::emulation {

bool is_asynchronous(cudaStream_t stream);
// Enqueues `work`: it runs now, or later on the stream's thread. An exception there makes the
// stream fail: cudaStreamSynchronize() returns an error from then on.
void in_stream(cudaStream_t stream, std::function<void()> work);
// Waits for every stream that this OS thread has created.
void finish_streams();

}  // namespace vila::emulation

// in_stream() for a library that is opened at run time and looks it up by name:
// tests/dist/fake_nccl.cpp. A result of `work` other than 0 is a failure.
extern "C" int vila_emulated_in_stream(void* stream, int (*work)(void* data), void* data);
