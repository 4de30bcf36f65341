#include "cuda/cuda_device.h"

#include <algorithm>
#include <bit>
#include <cstdio>

#include "cuda/fault.h"
#include "cuda/gemm_cublas.h"
#include "cuda/kernels.h"
#include "cuda/runtime.h"
#include "tensor/check.h"
#include "tensor/env.h"
#include "tensor/int_math.h"

namespace vila {

std::unique_ptr<Device> make_cuda_device(int index) {
    return std::make_unique<cuda::CudaDevice>(index);
}

CUstream_st* cuda_stream(const Device& gpu) {
    VILA_ASSERT(gpu.kind() == DeviceKind::Cuda);
    return static_cast<const cuda::CudaDevice&>(gpu).stream();
}

namespace cuda {

namespace {

// The lowest compute capability (major version) that is compiled for: the first with bf16
// arithmetic.
constexpr int kMinMajor = 8;

// Blocks are rounded up to a size class, so that the tensors of the next step can reuse them. The
// classes are eighths of a power of two, which wastes at most an eighth.
constexpr int64_t kSmallestBlock = 512;

int64_t size_class(int64_t bytes) {
    if (bytes <= kSmallestBlock) return kSmallestBlock;
    const int64_t eighth =
        static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(bytes - 1))) / 8;
    return round_up(bytes, eighth);
}

std::string version(int number) {
    return str(number / 1000, ".", number % 1000 / 10);
}

// Throws Error if GPU `index` cannot be used: no driver, a driver too old, or no such GPU.
void check_machine(int index) {
    const std::string wanted = str("--device cuda:", index, ": ");
    int count = 0, driver = 0, runtime = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    VILA_CUDA_CHECK(cudaDriverGetVersion(&driver));
    VILA_CUDA_CHECK(cudaRuntimeGetVersion(&runtime));
    VILA_CHECK(driver != 0, wanted, "this machine has no NVIDIA driver; use --device cpu");
    VILA_CHECK(error != cudaErrorInsufficientDriver, wanted, "the NVIDIA driver is for CUDA ",
               version(driver), ", this program needs ", version(runtime),
               "; update the driver or use --device cpu");
    VILA_CHECK(error != cudaErrorNoDevice && (error != cudaSuccess || count > 0), wanted,
               "the NVIDIA driver finds no GPU; use --device cpu");
    VILA_CHECK(error == cudaSuccess, wanted, cudaGetErrorString(error));
    VILA_CHECK(index >= 0 && index < count, wanted, "this machine has GPUs 0 to ", count - 1);
}

}  // namespace

CudaDevice::CudaDevice(int index)
    : Device(DeviceKind::Cuda, table()),
      options(
          {.allow_tf32 = environment_int("VILA_TF32") != 0,
           .warn =
               [](const std::string& message) { std::fprintf(stderr, "%s\n", message.c_str()); }}),
      index_(index) {
    check_machine(index);
    cudaDeviceProp properties = {};
    VILA_CUDA_CHECK(cudaGetDeviceProperties(&properties, index));
    name_ = str("cuda:", index, " ", properties.name);
    multiprocessors_ = properties.multiProcessorCount;
    make_current();
    VILA_CHECK(properties.major >= kMinMajor && has_kernel_image(), name_,
               " has compute capability ", properties.major, ".", properties.minor,
               ", for which this program was not built; use --device cpu, or build with "
               "-Dgpu_architectures=",
               properties.major, properties.minor);
    VILA_CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
    VILA_CUDA_CHECK(cudaEventCreateWithFlags(&order_event_, cudaEventDisableTiming));
    void* memory = nullptr;
    VILA_CUDA_CHECK(cudaMalloc(&memory, sizeof(Faults)));
    faults_ = static_cast<Faults*>(memory);
    VILA_CUDA_CHECK(cudaMemsetAsync(faults_, 0xff, sizeof(Faults), stream_));
}

CudaDevice::~CudaDevice() {
    // A destructor must not throw: errors are ignored.
    static_cast<void>(cudaSetDevice(index_));
    static_cast<void>(cudaStreamSynchronize(stream_));
    cublas_.reset();
    free_cached_blocks();
    static_cast<void>(cudaFree(faults_));
    static_cast<void>(cudaEventDestroy(order_event_));
    static_cast<void>(cudaStreamDestroy(stream_));
}

std::string CudaDevice::name() const {
    return cublas_is_missing_ ? name_ + " without cuBLASLt" : name_;
}

CublasGemm* CudaDevice::cublas() {
    if (cublas_ != nullptr || cublas_is_missing_) return cublas_.get();
    make_current();
    try {
        cublas_ = std::make_unique<CublasGemm>();
    } catch (const Error& error) {
        options.warn(str(name_, ": ", error.what(),
                         "; matrix products run on a plain kernel, many times slower"));
        cublas_is_missing_ = true;
    }
    return cublas_.get();
}

void CudaDevice::make_current() const {
    VILA_CUDA_CHECK(cudaSetDevice(index_));
}

void CudaDevice::copy_from_host(void* destination, const void* source, int64_t bytes) {
    if (bytes == 0) return;
    check_not_recording("copy from the host");
    make_current();
    if (bytes <= Staging::kMaxBytes) {
        staging_.send(destination, source, bytes, stream_);
        return;
    }
    VILA_CUDA_CHECK(cudaMemcpyAsync(destination, source, static_cast<size_t>(bytes),
                                    cudaMemcpyHostToDevice, stream_));
    VILA_CUDA_CHECK(cudaStreamSynchronize(stream_));
}

void CudaDevice::copy_to_host(void* destination, const void* source, int64_t bytes) {
    check_not_recording("copy to the host");
    make_current();
    if (bytes > 0)
        VILA_CUDA_CHECK(cudaMemcpyAsync(destination, source, static_cast<size_t>(bytes),
                                        cudaMemcpyDeviceToHost, stream_));
    synchronize();
}

void CudaDevice::synchronize() {
    check_not_recording("wait");
    make_current();
    Faults found;
    VILA_CUDA_CHECK(
        cudaMemcpyAsync(&found, faults_, sizeof(Faults), cudaMemcpyDeviceToHost, stream_));
    VILA_CUDA_CHECK(cudaStreamSynchronize(stream_));
    const bool any = std::any_of(std::begin(found.kinds), std::end(found.kinds),
                                 [](const Fault& fault) { return fault.first != kNoFault; });
    if (!any) return;
    VILA_CUDA_CHECK(cudaMemsetAsync(faults_, 0xff, sizeof(Faults), stream_));
    throw_fault(found);
}

void CudaDevice::order_after(Device& other) {
    if (&other == this || other.kind() != DeviceKind::Cuda) return;
    auto& gpu = static_cast<CudaDevice&>(other);
    VILA_CHECK_EQ(gpu.index_, index_, "GPU of the device to wait for");
    make_current();
    VILA_CUDA_CHECK(cudaEventRecord(gpu.order_event_, gpu.stream_));
    VILA_CUDA_CHECK(cudaStreamWaitEvent(stream_, gpu.order_event_, 0));
}

void CudaDevice::launched() {
    const bool recording = graph_ != nullptr && graph_->is_recording();
    if (options.launch_blocking && !recording) synchronize();
}

void CudaDevice::check_not_recording(const char* what) const {
    VILA_CHECK(graph_ == nullptr || !graph_->is_recording(), "[capture] cannot ", what,
               " while recording on ", name_);
}

std::function<void()> CudaDevice::capture(std::function<void()> body) {
    if (!options.use_graphs) return Device::capture(std::move(body));
    VILA_CHECK(graph_ == nullptr, "[capture] cannot capture while capturing on ", name_);
    make_current();
    const auto graph = std::make_shared<LaunchGraph>(
        stream_, [this](void* block, int64_t bytes) { release_bytes(block, bytes); });
    struct Scope {
        LaunchGraph*& current;
        ~Scope() { current = nullptr; }
    };
    {
        graph_ = graph.get();
        const Scope scope{graph_};
        // The first run computes the results of this call. It also makes plans and allocations,
        // which must not happen while recording.
        body();
        graph->record(body);
        VILA_CHECK(graph->all_blocks_free(),
                   "[capture] a tensor outlives the captured function on ", name_);
    }
    return [this, graph] {
        make_current();
        graph->launch();
    };
}

void* CudaDevice::allocate_bytes(int64_t bytes) {
    const int64_t rounded = size_class(bytes);
    if (graph_ == nullptr) return take_block(rounded, bytes);
    if (void* const block = graph_->reuse_block(rounded)) return block;
    void* const block = take_block(rounded, bytes);
    graph_->add_block(block, rounded);
    return block;
}

// Returns a block of size class `rounded`, from the cache or from the GPU. Throws OutOfMemory.
void* CudaDevice::take_block(int64_t rounded, int64_t bytes) {
    const auto found = free_blocks_.find(rounded);
    if (found != free_blocks_.end() && !found->second.empty()) {
        void* block = found->second.back();
        found->second.pop_back();
        return block;
    }
    void* memory = allocate_from_gpu(rounded);
    if (memory == nullptr) {
        // Freeing the cached blocks of other sizes may make room.
        VILA_CUDA_CHECK(cudaStreamSynchronize(stream_));
        free_cached_blocks();
        memory = allocate_from_gpu(rounded);
    }
    if (memory == nullptr) out_of_memory(bytes);
    return memory;
}

// Returns nullptr when the GPU is out of memory.
void* CudaDevice::allocate_from_gpu(int64_t bytes) {
    make_current();
    void* memory = nullptr;
    const cudaError_t error = cudaMalloc(&memory, static_cast<size_t>(bytes));
    if (error == cudaErrorMemoryAllocation) {
        static_cast<void>(cudaGetLastError());  // clears the error
        return nullptr;
    }
    VILA_CUDA_CHECK(error);
    reserved_ += bytes;
    return memory;
}

void CudaDevice::release_bytes(void* block, int64_t bytes) noexcept {
    try {
        if (graph_ != nullptr && graph_->return_block(block)) return;
        free_blocks_[size_class(bytes)].push_back(block);
    } catch (...) {
        static_cast<void>(cudaFree(block));
        reserved_ -= size_class(bytes);
    }
}

void CudaDevice::free_cached_blocks() noexcept {
    for (auto& [bytes, blocks] : free_blocks_) {
        for (void* block : blocks) {
            static_cast<void>(cudaFree(block));
            reserved_ -= bytes;
        }
    }
    free_blocks_.clear();
}

void CudaDevice::out_of_memory(int64_t bytes) const {
    size_t free_bytes = 0, total_bytes = 0;
    VILA_CUDA_CHECK(cudaMemGetInfo(&free_bytes, &total_bytes));
    throw OutOfMemory(str(out_of_memory_text(bytes), " and ", free_bytes, " of ", total_bytes,
                          " bytes free; use a smaller micro_batch or max_length"));
}

}  // namespace cuda

}  // namespace vila
