// Asynchronous copies from the host, on an emulated machine whose streams run concurrently with the
// host.

#include "cuda/staging.h"

#include <gtest/gtest.h>

#include <numeric>

#include "cuda/cuda_device.h"
#include "cuda/runtime.h"
#include "tensor/kernels.h"
#include "tests/support/driver.h"

namespace vila::testing {

namespace {

class CudaStaging : public ::testing::Test {
  protected:
    CudaStaging() : before_(emulation::machine()) { emulation::machine().asynchronous = true; }
    ~CudaStaging() override { emulation::machine() = before_; }

    emulation::Machine& machine() { return emulation::machine(); }

  private:
    emulation::Machine before_;
};

std::vector<int32_t> count_from(int64_t first, int64_t count) {
    std::vector<int32_t> values(static_cast<size_t>(count));
    std::iota(values.begin(), values.end(), static_cast<int32_t>(first));
    return values;
}

}  // namespace

TEST_F(CudaStaging, SourcesMayChangeAtOnce) {
    const auto device = make_cuda_device();
    std::vector<Tensor> sent;
    std::vector<int32_t> values;
    for (int64_t i = 0; i < 200; ++i) {
        values = count_from(i, i % 5 == 0 ? 20000 : i);
        sent.push_back(Tensor::from_values(*device, {static_cast<int64_t>(values.size())}, values));
    }
    std::fill(values.begin(), values.end(), -1);
    for (int64_t i = 0; i < 200; ++i)
        EXPECT_EQ(sent[static_cast<size_t>(i)].to_vector<int32_t>(),
                  count_from(i, i % 5 == 0 ? 20000 : i));
}

TEST_F(CudaStaging, CopiesPrecedeLaterKernels) {
    const auto device = make_cuda_device();
    const Tensor sum = Tensor::zeros(*device, {30000}, DType::F32);
    for (int round = 1; round <= 20; ++round) {
        const Tensor x = Tensor::from_values(*device, {30000},
                                             std::vector<float>(30000, static_cast<float>(round)));
        call(*device, "scale", &Kernels::scale, {.x = x, .y = sum, .accumulate = true});
    }
    EXPECT_EQ(sum.to_vector<float>(), std::vector<float>(30000, 210.0F));
}

TEST_F(CudaStaging, ReusesItsMemory) {
    const int64_t before = machine().pinned_blocks;
    {
        const auto device = make_cuda_device();
        for (int i = 0; i < 50; ++i) {
            const Tensor x = Tensor::from_values(*device, {100}, count_from(i, 100));
            device->synchronize();
        }
        EXPECT_EQ(machine().pinned_blocks, before + 1);
    }
    EXPECT_EQ(machine().pinned_blocks, before);
}

// Room for two slots of the smallest size, or for one of the next size.
TEST_F(CudaStaging, WaitsWhenItIsFull) {
    cuda::CudaDevice device(0);
    cuda::Staging staging(128 << 10);
    const int64_t before = machine().pinned_blocks;
    std::vector<Tensor> arrived;
    const auto send = [&](int64_t count) {
        const Tensor& x = arrived.emplace_back(Tensor::empty(device, {count}, DType::I32));
        const std::vector<int32_t> values = count_from(count, count);
        staging.send(x.raw(), values.data(), x.bytes(), device.stream());
        EXPECT_LE(machine().pinned_blocks, before + 2);
    };
    for (const int64_t count : {16000, 1, 16384, 16383, 20000, 32768, 5, 16000, 7, 9, 32768})
        send(count);
    for (const Tensor& x : arrived)
        EXPECT_EQ(x.to_vector<int32_t>(), count_from(x.numel(), x.numel()));
}

TEST_F(CudaStaging, DoesNotStageLargeCopies) {
    const auto device = make_cuda_device();
    const int64_t before = machine().pinned_blocks;
    const int64_t count = cuda::Staging::kMaxBytes / 4 + 1;
    const Tensor x = Tensor::from_values(*device, {count}, count_from(3, count));
    EXPECT_EQ(machine().pinned_blocks, before);
    EXPECT_EQ(x.slice(0, count - 1, count).to_vector<int32_t>(),
              (std::vector<int32_t>{static_cast<int32_t>(count + 2)}));
}

}  // namespace vila::testing
