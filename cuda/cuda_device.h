#pragma once

// An NVIDIA GPU as a Device: one stream, a caching allocator that follows it, and the kernel table
// of this folder. This header includes nothing of CUDA, so that the rest of the program can include
// it with or without the toolkit; in a build without it, no_cuda_device.cpp replaces the device.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cuda/launch_graph.h"
#include "cuda/staging.h"
#include "tensor/device.h"

struct CUevent_st;   // a cudaEvent_t points to one
struct CUstream_st;  // a cudaStream_t points to one

namespace vila {

// Opens GPU number `index`. Throws Error with one line that names what is missing: the toolkit in
// this build, the driver, a GPU, or code for this GPU.
std::unique_ptr<Device> make_cuda_device(int index = 0);
// The stream of a device made by make_cuda_device, for other libraries to enqueue their work on.
CUstream_st* cuda_stream(const Device& gpu);

namespace cuda {

struct Faults;
class CublasGemm;

// Settings of a CudaDevice, which may change at any time.
struct CudaOptions {
    // Waits for every kernel launch, and throws its errors there. Launches are asynchronous
    // otherwise, and so are their errors. For tests and debugging.
    bool launch_blocking = false;
    // Lets capture() record a CUDA graph. Without it the captured body runs kernel by kernel.
    bool use_graphs = true;
    // The number of logits that linear_cross_entropy holds at a time: 256 MiB of f32. Tests use a
    // smaller number.
    int64_t max_logits = int64_t{64} << 20;
    // Lets f32 matrix products round their operands to TF32, which keeps 11 significant bits:
    // VILA_TF32.
    bool allow_tf32 = false;
    // Receives each warning about slow execution once per device; prints it to stderr by default.
    std::function<void(const std::string& message)> warn;
};

class CudaDevice : public Device {
  public:
    explicit CudaDevice(int index);
    ~CudaDevice() override;

    CudaOptions options;

    // "cuda:0 NVIDIA H100 80GB HBM3"; with " without cuBLASLt" after opening the library failed.
    std::string name() const override;
    CUstream_st* stream() const { return stream_; }
    int multiprocessors() const { return multiprocessors_; }
    // Device memory where kernels record numbers in the data that are out of range; see fault.h.
    Faults* faults() const { return faults_; }

    // Copies in stream order. Up to Staging::kMaxBytes the source is read before the call returns
    // and the copy is asynchronous; the call waits for larger copies.
    void copy_from_host(void* destination, const void* source, int64_t bytes) override;
    // These two wait for all work of the stream, and throw the faults that kernels recorded.
    void copy_to_host(void* destination, const void* source, int64_t bytes) override;
    void synchronize() override;
    void order_after(Device& other) override;
    // Runs `body` once, then records it as a CUDA graph. Returns a function that launches the
    // graph.
    std::function<void()> capture(std::function<void()> body) override;

    // cuBLASLt, opened by the first call; nullptr where it cannot be opened, after a warning.
    CublasGemm* cublas();
    // launch() calls this after each kernel launch.
    void launched();
    // Makes this GPU the calling thread's current one.
    void make_current() const;

    // Bytes allocated on the GPU: those of live tensors, and freed blocks kept for reuse.
    int64_t reserved_bytes() const { return reserved_; }

  protected:
    void* allocate_bytes(int64_t bytes) override;
    void release_bytes(void* memory, int64_t bytes) noexcept override;

  private:
    void* allocate_from_gpu(int64_t bytes);
    void free_cached_blocks() noexcept;
    void* take_block(int64_t rounded, int64_t bytes);
    void check_not_recording(const char* what) const;
    [[noreturn]] void out_of_memory(int64_t bytes) const;

    int index_;
    std::string name_;
    int multiprocessors_ = 0;
    CUstream_st* stream_ = nullptr;
    CUevent_st* order_event_ = nullptr;  // recorded anew by each order_after()
    Faults* faults_ = nullptr;
    std::unique_ptr<CublasGemm> cublas_;
    bool cublas_is_missing_ = false;
    // One stream orders all work, so a block can be reused as soon as it is freed.
    std::map<int64_t, std::vector<void*>> free_blocks_;
    int64_t reserved_ = 0;
    Staging staging_;
    LaunchGraph* graph_ = nullptr;  // the graph being recorded, if any
};

}  // namespace cuda

}  // namespace vila
