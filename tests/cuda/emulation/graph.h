#pragma once

// CUDA graphs of the emulation. Between the begin and the end of a capture a stream keeps what it
// is asked for and does none of it; a launch of the graph does all of it in that order.

#include <functional>

#include "tests/cuda/emulation/memory.h"

namespace vila::emulation {

// Whether a stream is being captured, by this OS thread.
bool is_captured(cudaStream_t stream);
// Keeps `work` for the graph.
void capture(cudaStream_t stream, std::function<void()> work);
// What a call returns that waits for a captured stream; the capture is void from then on.
cudaError_t void_capture(cudaStream_t stream);

}  // namespace vila::emulation
