#include "cuda/launch_graph.h"

#include "cuda/runtime.h"

namespace vila::cuda {

LaunchGraph::LaunchGraph(CUstream_st* stream, std::function<void(void*, int64_t)> release_block)
    : stream_(stream), release_block_(std::move(release_block)) {}

LaunchGraph::~LaunchGraph() {
    // A destructor must not throw: errors are ignored.
    static_cast<void>(cudaStreamSynchronize(stream_));
    if (executable_ != nullptr) static_cast<void>(cudaGraphExecDestroy(executable_));
    for (const auto& [bytes, block] : free_) release_block_(block, bytes);
}

void LaunchGraph::record(const std::function<void()>& body) {
    cudaGraph_t graph = nullptr;
    VILA_CUDA_CHECK(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeRelaxed));
    recording_ = true;
    try {
        body();
    } catch (...) {
        recording_ = false;
        static_cast<void>(cudaStreamEndCapture(stream_, &graph));
        if (graph != nullptr) static_cast<void>(cudaGraphDestroy(graph));
        throw;
    }
    recording_ = false;
    VILA_CUDA_CHECK(cudaStreamEndCapture(stream_, &graph));
    const cudaError_t made = cudaGraphInstantiateWithFlags(&executable_, graph, 0);
    static_cast<void>(cudaGraphDestroy(graph));
    VILA_CUDA_CHECK(made);
}

void LaunchGraph::launch() const {
    VILA_CUDA_CHECK(cudaGraphLaunch(executable_, stream_));
}

void LaunchGraph::add_block(void* block, int64_t bytes) {
    blocks_[block] = bytes;
}

void* LaunchGraph::reuse_block(int64_t bytes) {
    const auto found = free_.find(bytes);
    if (found == free_.end()) return nullptr;
    void* const block = found->second;
    free_.erase(found);
    return block;
}

bool LaunchGraph::return_block(void* block) {
    const auto found = blocks_.find(block);
    if (found == blocks_.end()) return false;
    free_.emplace(found->second, block);
    return true;
}

}  // namespace vila::cuda
