// The CUDA device on the emulated machine: its errors at start, its allocator, its faults, and the
// completeness of its kernel table.

#include "cuda/cuda_device.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <future>

#include "autograd/ops.h"
#include "cuda/kernels.h"
#include "cuda/runtime.h"
#include "tensor/cpu/cpu_device.h"
#include "tests/support/driver.h"

namespace vila::testing {

namespace {

// Restores the emulated machine at the end of a test.
class CudaDeviceTest : public ::testing::Test {
  protected:
    CudaDeviceTest() : before_(emulation::machine()) {}
    ~CudaDeviceTest() override { emulation::machine() = before_; }

    emulation::Machine& machine() { return emulation::machine(); }

  private:
    emulation::Machine before_;
};

}  // namespace

TEST_F(CudaDeviceTest, HasEveryKernelButThoseOfQuantizedWeights) {
    Kernels table = cuda::table();
    EXPECT_EQ(table.quantized_matmul_forward, nullptr);
    EXPECT_EQ(table.quantized_matmul_backward, nullptr);
    table.quantized_matmul_forward = [](const QuantizedMatmulForwardArgs&) {};
    table.quantized_matmul_backward = [](const QuantizedMatmulBackwardArgs&) {};
    const auto entries = std::bit_cast<std::array<void (*)(), kKernelCount>>(table);
    for (size_t i = 0; i < kKernelCount; ++i)
        EXPECT_NE(entries[i], nullptr) << "entry " << i << " of struct Kernels";
}

TEST_F(CudaDeviceTest, NamesWhatIsMissing) {
    machine().count_result = cudaErrorInsufficientDriver;
    machine().driver_version = 0;
    EXPECT_EQ(expect_error("--device cuda:0: this machine has no NVIDIA driver; use --device cpu",
                           [] { make_cuda_device(); }),
              "");
    machine().driver_version = 11040;
    EXPECT_EQ(expect_error("--device cuda:0: the NVIDIA driver is for CUDA 11.4, this program "
                           "needs 13.0; update the driver or use --device cpu",
                           [] { make_cuda_device(); }),
              "");
    machine().driver_version = 13000;
    machine().count_result = cudaErrorNoDevice;
    EXPECT_EQ(expect_error("the NVIDIA driver finds no GPU", [] { make_cuda_device(); }), "");
    machine().count_result = cudaSuccess;
    EXPECT_EQ(
        expect_error("--device cuda:3: this machine has GPUs 0 to 0", [] { make_cuda_device(3); }),
        "");
    machine().has_kernel_image = false;
    machine().major = 7;
    machine().minor = 5;
    EXPECT_EQ(expect_error("cuda:0 emulated GPU has compute capability 7.5, for which this program "
                           "was not built",
                           [] { make_cuda_device(); }),
              "");
}

TEST_F(CudaDeviceTest, ReusesFreedMemory) {
    const auto device = make_cuda_device();
    { const Tensor first = Tensor::empty(*device, {1000}, DType::F32); }
    const int64_t allocations = machine().allocations;
    for (int i = 0; i < 10; ++i) static_cast<void>(Tensor::empty(*device, {1000}, DType::F32));
    EXPECT_EQ(machine().allocations, allocations);
    EXPECT_EQ(device->memory().live, 0);
    EXPECT_EQ(device->memory().peak, 4000);
}

TEST_F(CudaDeviceTest, FreesItsMemory) {
    const int64_t used = machine().used_bytes;
    {
        const auto device = make_cuda_device();
        static_cast<void>(Tensor::empty(*device, {1000}, DType::F32));
        EXPECT_GT(machine().used_bytes, used);
    }
    EXPECT_EQ(machine().used_bytes, used);
    EXPECT_FALSE(emulation::device_memory_damaged());
}

TEST_F(CudaDeviceTest, FreesItsCacheBeforeItRunsOutOfMemory) {
    machine().memory_bytes = 1 << 20;
    const auto device = make_cuda_device();
    // 800 kB, freed and cached. The next block has a different size and needs that memory.
    static_cast<void>(Tensor::empty(*device, {800000}, DType::U8));
    const Tensor second = Tensor::empty(*device, {600000}, DType::U8);
    EXPECT_EQ(device->memory().live, 600000);
    EXPECT_EQ(expect_error("out of memory: 700000 bytes more on cuda:0 emulated GPU with 600000 "
                           "bytes in tensors and ",
                           [&] { Tensor::empty(*device, {700000}, DType::U8); }),
              "");
    // The device works afterwards.
    EXPECT_EQ(device->memory().live, 600000);
    static_cast<void>(Tensor::empty(*device, {100000}, DType::U8));
}

TEST_F(CudaDeviceTest, WaitsForTheKernelsOfAnotherDeviceOnItsGpu) {
    machine().asynchronous = true;
    const auto first = make_cuda_device(), second = make_cuda_device();
    const auto cpu = make_cpu_device(1);
    const Tensor x = Tensor::zeros(*first, {3}, DType::F32);
    first->synchronize();
    const Tensor seen = Tensor::from_external(*second, x.raw(), x.shape(), x.dtype(), [] {});
    std::promise<void> gate;
    emulation::in_stream(static_cast<cuda::CudaDevice&>(*first).stream(),
                         [open = gate.get_future().share()] { open.wait(); });
    x.fill(7.0);
    second->order_after(*cpu);
    // `second` does not wait for `first` yet.
    EXPECT_EQ(seen.to_vector<float>(), std::vector<float>(3, 0.0F));
    second->order_after(*first);
    const Tensor copy = seen.clone();
    gate.set_value();
    EXPECT_EQ(copy.to_vector<float>(), std::vector<float>(3, 7.0F));
    EXPECT_FALSE(emulation::device_memory_damaged());
}

TEST_F(CudaDeviceTest, OutOfMemoryNamesTheOperator) {
    machine().memory_bytes = 1 << 20;
    const auto device = make_cuda_device();
    using autograd::Variable;
    const Variable weight(Tensor::zeros(*device, {1000, 4}, DType::F32), true);
    const Variable few(Tensor::zeros(*device, {100, 4}, DType::F32), true);
    const Variable many(Tensor::zeros(*device, {1000, 4}, DType::F32));
    EXPECT_EQ(expect_error("out of memory in linear: 4000000 bytes more on cuda:0 emulated GPU",
                           [&] { autograd::linear(many, weight, Variable()); }),
              "");
    EXPECT_EQ(expect_error("out of memory: 4000000 bytes more",
                           [&] {
                               autograd::linear(few, weight, Variable());
                               Tensor::empty(*device, {1000, 1000}, DType::F32);
                           }),
              "");
    // Each result takes 400 kB; the last one does not fit.
    const Variable y = autograd::gelu(autograd::linear(few, weight, Variable()), GeluKind::Erf);
    EXPECT_EQ(expect_error("out of memory in backward of sum: 400000 bytes more",
                           [&] { autograd::backward(autograd::sum(y)); }),
              "");
}

TEST_F(CudaDeviceTest, UpdatesManyTensorsInOneLaunch) {
    const auto device = make_cuda_device();
    std::vector<AdamwUpdate> updates;
    for (int64_t i = 0; i < 40; ++i) {
        const Tensor weights = Tensor::zeros(*device, {i + 1}, DType::F32);
        const Tensor zeros = Tensor::zeros(*device, {i + 1}, DType::F32);
        updates.push_back({.gradient = zeros,
                           .master = weights,
                           .first_moment = zeros.clone(),
                           .second_moment = zeros.clone(),
                           .parameter = weights});
    }
    const int64_t launches = machine().launches;
    call(*device, "adamw", &Kernels::adamw, {.tensors = updates});
    EXPECT_EQ(machine().launches, launches + 1);
}

TEST_F(CudaDeviceTest, ThrowsFaultsWhenTheHostWaits) {
    const auto device = make_cuda_device();
    const Tensor table = Tensor::zeros(*device, {4, 3}, DType::F32);
    const Tensor ids = Tensor::from_values<int32_t>(*device, {3}, {1, 9, 7});
    const Tensor y = Tensor::zeros(*device, {3, 3}, DType::F32);
    call(*device, "embedding", &Kernels::embedding_forward, {.table = table, .ids = ids, .y = y});
    EXPECT_EQ(expect_error("[embedding] index 9 at position 1: expected 0 to 3",
                           [&] { device->synchronize(); }),
              "");
    device->synchronize();  // a fault is thrown once
    EXPECT_EQ(y.to_vector<float>(), std::vector<float>(9, 0.0F));
}

}  // namespace vila::testing
