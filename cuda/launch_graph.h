#pragma once

// LaunchGraph: a sequence of kernel launches that is recorded once and then launched as a whole (a
// CUDA graph). It owns the device memory that the recorded kernels use for as long as it exists.

#include <cstdint>
#include <functional>
#include <map>

struct CUgraphExec_st;  // a cudaGraphExec_t points to one
struct CUstream_st;     // a cudaStream_t points to one

namespace vila::cuda {

class LaunchGraph {
  public:
    // The destructor passes each block of memory to `release_block`.
    LaunchGraph(CUstream_st* stream, std::function<void(void* block, int64_t bytes)> release_block);
    ~LaunchGraph();
    LaunchGraph(const LaunchGraph&) = delete;
    LaunchGraph& operator=(const LaunchGraph&) = delete;

    // Records the work that `body` enqueues on the stream, without running it. Exceptions of `body`
    // pass through.
    void record(const std::function<void()>& body);
    bool is_recording() const { return recording_; }
    // Enqueues the recorded work on the stream.
    void launch() const;

    // The blocks of memory for tensors of the body. add_block() hands one to the graph, which
    // then reuses it for later tensors of the same size.
    void add_block(void* block, int64_t bytes);
    // Returns a free block of exactly `bytes`, now in use, or nullptr.
    void* reuse_block(int64_t bytes);
    // Marks a block as free. Returns false if it does not belong to the graph.
    bool return_block(void* block);
    // Returns true if no tensor uses any of the blocks.
    bool all_blocks_free() const { return free_.size() == blocks_.size(); }

  private:
    CUstream_st* stream_;
    std::function<void(void*, int64_t)> release_block_;
    CUgraphExec_st* executable_ = nullptr;
    bool recording_ = false;
    std::map<void*, int64_t> blocks_;  // address to bytes
    std::multimap<int64_t, void*> free_;
};

}  // namespace vila::cuda
