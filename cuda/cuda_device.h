#pragma once

// An NVIDIA GPU as a Device: one stream, a caching allocator on it, and the kernel table of this
// folder. Nothing of CUDA is included here, so that the rest of the program may include it whether
// or not it was built with the toolkit; no_cuda_device.cpp then stands in for the device.

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

// Opens GPU number `index`. Throws Error with one line that says what is missing: the toolkit when
// this was built, the driver, a GPU, code for this GPU.
std::unique_ptr<Device> make_cuda_device(int index = 0);
// The stream of such a device: what other libraries are to put their work on.
CUstream_st* cuda_stream(const Device& gpu);

namespace cuda {

struct Faults;
class CublasGemm;

class CudaDevice : public Device {
  public:
    explicit CudaDevice(int index);
    ~CudaDevice() override;

    // "cuda:0 NVIDIA H100 80GB HBM3", and what it lacks once that is known.
    std::string name() const override;
    CUstream_st* stream() const { return stream_; }
    int multiprocessors() const { return multiprocessors_; }
    // What kernels write when a number that came with the data is out of range; see fault.h.
    Faults* faults() const { return faults_; }

    // What is not too large is read from the host at once and arrives in the order of the stream.
    void copy_from_host(void* destination, const void* source, int64_t bytes) override;
    // These wait until all is done, and throw what kernels found wrong.
    void copy_to_host(void* destination, const void* source, int64_t bytes) override;
    void synchronize() override;
    void order_after(Device& other) override;
    // Records a CUDA graph.
    std::function<void()> capture(std::function<void()> body) override;

    // Kernel launches are asynchronous, and so are their errors. With this every launch is waited
    // for and its errors are thrown where it is: for tests and debugging.
    bool waits_for_launches = false;
    // Whether capture() records; else what it returns launches one kernel after the other.
    bool records_launches = true;
    // How many logits linear_cross_entropy keeps at once: 256 MiB of f32. Tests lower it.
    int64_t logits_at_once = int64_t{64} << 20;
    // Whether f32 matrix products may round their operands to TF32's 11 digits: VILA_TF32.
    bool uses_tf32;
    // Who is told, once each, of what makes this device slow; a line on stderr at first.
    std::function<void(const std::string& line)> say;
    // cuBLASLt, opened when it is first asked for; nullptr where there is none, which was said.
    CublasGemm* cublas();
    // What launch() calls after each launch.
    void launched();
    // Makes this the GPU that the calling thread speaks to.
    void make_current() const;

    // Bytes taken from the GPU: those in tensors, and freed ones kept for the next tensors.
    int64_t reserved_bytes() const { return reserved_; }

  protected:
    void* allocate_bytes(int64_t bytes) override;
    void release_bytes(void* memory, int64_t bytes) noexcept override;

  private:
    void* take_from_gpu(int64_t bytes);
    void return_cache() noexcept;
    void* take_block(int64_t rounded, int64_t bytes);
    void check_not_recording(const char* what) const;
    [[noreturn]] void out_of_memory(int64_t bytes) const;

    int index_;
    std::string name_;
    int multiprocessors_ = 0;
    CUstream_st* stream_ = nullptr;
    CUevent_st* launched_so_far_ = nullptr;  // what others wait for, noted anew each time
    Faults* faults_ = nullptr;
    std::unique_ptr<CublasGemm> cublas_;
    bool cublas_is_missing_ = false;
    // One stream orders everything, so a block may be given out again as soon as it is returned.
    std::map<int64_t, std::vector<void*>> free_blocks_;
    int64_t reserved_ = 0;
    Staging staging_;
    LaunchGraph* graph_ = nullptr;  // the one that is being made
};

}  // namespace cuda

}  // namespace vila
