#include "tests/cuda/emulation/graph.h"

#include <map>
#include <memory>
#include <vector>

#include "tests/cuda/emulation/device.h"
#include "tests/cuda/emulation/stream.h"

struct CUgraph_st {
    std::vector<std::function<void()>> work;
};
struct CUgraphExec_st {
    CUgraph_st graph;
};

namespace {

struct Capture {
    CUgraph_st graph;
    bool is_invalid = false;
};

// The open captures of this OS thread.
std::map<cudaStream_t, Capture>& captures() {
    thread_local std::map<cudaStream_t, Capture> open;
    return open;
}

}  // namespace

namespace vila::emulation {

bool is_captured(cudaStream_t stream) {
    return captures().contains(stream);
}

void capture(cudaStream_t stream, std::function<void()> work) {
    captures().at(stream).graph.work.push_back(std::move(work));
}

cudaError_t invalidate_capture(cudaStream_t stream) {
    captures().at(stream).is_invalid = true;
    return cudaErrorStreamCaptureUnsupported;
}

}  // namespace vila::emulation

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode /*mode*/) {
    return captures().try_emplace(stream).second ? cudaSuccess : cudaErrorStreamCaptureUnsupported;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
    *graph = nullptr;
    const auto node = captures().extract(stream);
    if (node.empty()) return cudaErrorInvalidValue;
    if (node.mapped().is_invalid) return cudaErrorStreamCaptureInvalidated;
    *graph = std::make_unique<CUgraph_st>(node.mapped().graph).release();
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* executable, cudaGraph_t graph,
                                          unsigned long long /*flags*/) {
    *executable = std::make_unique<CUgraphExec_st>(CUgraphExec_st{*graph}).release();
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
    ++vila::emulation::machine().graph_launches;
    for (const std::function<void()>& work : executable->graph.work)
        vila::emulation::in_stream(stream, work);
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    const std::unique_ptr<CUgraph_st> owner(graph);
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
    const std::unique_ptr<CUgraphExec_st> owner(executable);
    return cudaSuccess;
}
