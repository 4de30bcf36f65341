#pragma once

// LaunchGraph: launches that are recorded once and then started together (a CUDA graph), with the
// device memory they work in, which is theirs for as long as they may run again.

#include <cstdint>
#include <functional>
#include <map>

struct CUgraphExec_st;  // a cudaGraphExec_t points to one
struct CUstream_st;     // a cudaStream_t points to one

namespace vila::cuda {

class LaunchGraph {
  public:
    // `give_back` receives each block of memory when the graph goes.
    LaunchGraph(CUstream_st* stream, std::function<void(void* block, int64_t bytes)> give_back);
    ~LaunchGraph();
    LaunchGraph(const LaunchGraph&) = delete;
    LaunchGraph& operator=(const LaunchGraph&) = delete;

    // Notes what `body` asks of the stream without doing it; what it throws is passed on.
    void record(const std::function<void()>& body);
    bool is_recording() const { return recording_; }
    // Asks the stream for all of it.
    void launch() const;

    // Blocks that tensors of the body use: taken over by the graph, and lent again and again.
    void keep(void* block, int64_t bytes);
    // A free one of exactly that size, or nullptr.
    void* lend(int64_t bytes);
    // False for a block that is not the graph's.
    bool take_back(void* block);
    // Whether no tensor uses any of them.
    bool all_free() const { return free_.size() == blocks_.size(); }

  private:
    CUstream_st* stream_;
    std::function<void(void*, int64_t)> give_back_;
    CUgraphExec_st* executable_ = nullptr;
    bool recording_ = false;
    std::map<void*, int64_t> blocks_;  // with their bytes
    std::multimap<int64_t, void*> free_;
};

}  // namespace vila::cuda
