#pragma once

// CUDA graphs, emulated. During a capture a stream records its work and runs none of it; a launch
// of the graph runs all of it in that order.

#include <functional>

#include "tests/cuda/emulation/memory.h"

namespace vila::emulation {

// Returns whether this OS thread is capturing the stream.
bool is_captured(cudaStream_t stream);
// Appends `work` to the graph that is being captured.
void capture(cudaStream_t stream, std::function<void()> work);
// Invalidates the capture of a stream because of a call that would wait for the stream, which is
// not permitted. Returns the error that this call returns.
cudaError_t invalidate_capture(cudaStream_t stream);

}  // namespace vila::emulation
