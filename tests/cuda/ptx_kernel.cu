#include "tests/cuda/ptx_kernel.h"

#include "cuda/launch.h"
#include "cuda/ptx.h"
#include "cuda/shared.h"

namespace vila::testing {

namespace {

constexpr int kSide = 16;
constexpr int kPitch = kSide + 8;  // rows of 48 bytes: cp.async and ldmatrix need multiples of 16

struct Shared {
    BFloat16 a[kSide][kPitch], b[kSide][kPitch];
};

__global__ void ptx_kernel(const BFloat16* a, const BFloat16* b, bool transposed, float* c,
                           BFloat16* copied) {
    Shared& shared = cuda::shared_memory<Shared>();
    const int lane = static_cast<int>(threadIdx.x);
    const int row = lane / 2, half = lane % 2 * 8;
    cuda::ptx::cp_async(&shared.a[row][half], a + row * kSide + half, row < kSide - 1);
    cuda::ptx::cp_async_commit_group();
    cuda::ptx::cp_async(&shared.b[row][half], b + row * kSide + half, true);
    cuda::ptx::cp_async_commit_group();
    cuda::ptx::cp_async_wait_group<1>();
    for (int i = 0; i < 8; ++i) copied[row * kSide + half + i] = shared.a[row][half + i];
    cuda::ptx::cp_async_wait_group<0>();
    __syncthreads();  // the copies of all lanes are complete

    uint32_t left[4], right[4];
    cuda::ptx::ldmatrix(left, &shared.a[lane % 16][lane / 16 * 8]);
    if (transposed) {
        cuda::ptx::ldmatrix(right, &shared.b[lane % 8 + lane / 16 * 8][lane / 8 % 2 * 8]);
    } else {
        cuda::ptx::ldmatrix_trans(right, &shared.b[lane % 16][lane / 16 * 8]);
    }
    for (int tile = 0; tile < 2; ++tile) {
        float sums[4];
        const auto at = [&](int i) -> float& {
            return c[(lane / 4 + i / 2 * 8) * kSide + tile * 8 + lane % 4 * 2 + i % 2];
        };
        for (int i = 0; i < 4; ++i) sums[i] = at(i);
        cuda::ptx::mma(sums, left, right[2 * tile], right[2 * tile + 1]);
        for (int i = 0; i < 4; ++i) at(i) = sums[i];
    }
}

__global__ void pack_kernel(const float* x, uint32_t* packed) {
    packed[threadIdx.x] = cuda::ptx::pack_bf16(x[2 * threadIdx.x], x[2 * threadIdx.x + 1]);
}

}  // namespace

void multiply_with_ptx(cuda::CudaDevice& device, const Tensor& a, const Tensor& b, bool transposed,
                       const Tensor& c, const Tensor& copied) {
    cuda::launch(device, ptx_kernel, {1}, {cuda::kWarp}, sizeof(Shared), a.data<BFloat16>(),
                 b.data<BFloat16>(), transposed, c.data<float>(), copied.data<BFloat16>());
}

void pack_with_ptx(cuda::CudaDevice& device, const Tensor& x, const Tensor& packed) {
    cuda::launch(device, pack_kernel, {1}, {x.numel() / 2}, 0, x.data<float>(),
                 reinterpret_cast<uint32_t*>(packed.data<BFloat16>()));
}

}  // namespace vila::testing
