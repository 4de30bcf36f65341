// adamw: one optimizer step of many tensors, in one launch and one pass over memory. Each element
// takes 16 bytes of reads and 12 to 16 of writes.
//
// Formula   m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2
//           w = decay w - step_size m / (sqrt(v) inv_sqrt_second + eps)
// Mapping   a block owns 1024 elements of one tensor, which it finds in a list in the kernel's
//           arguments
//
// A model has many tensors that are too small to keep a GPU busy (norms, biases), and a launch for
// each would take longer than the update.

#include <algorithm>

#include "cuda/kernels.h"
#include "cuda/launch.h"
#include "cuda/math.h"
#include "cuda/number.h"
#include "tensor/adamw_factors.h"

namespace vila::cuda {

namespace {

constexpr int64_t kAdamwThreads = 256;
constexpr int64_t kAdamwElements = 1024;  // elements per block

struct AdamwTensor {
    const float* gradient;
    float *master, *first, *second;  // w, m, v
    void* parameter;                 // nullptr when it is the master itself
    int64_t count, first_block;
    DType dtype;  // of the parameter
    AdamwFactors factors;

    __device__ void update(int64_t i) const {
        const AdamwFactors& f = factors;
        const float g = gradient[i] * f.grad_scale;
        const float m = f.beta1 * first[i] + f.one_minus_beta1 * g;
        const float v = f.beta2 * second[i] + f.one_minus_beta2 * g * g;
        const float w =
            f.decay * master[i] - f.step_size * m / (math::sqrt(v) * f.inv_sqrt_second + f.eps);
        first[i] = m;
        second[i] = v;
        master[i] = w;
        if (parameter == nullptr) return;
        if (dtype == DType::BF16) {
            static_cast<BFloat16*>(parameter)[i] = narrow<BFloat16>(w);
        } else if (dtype == DType::F32) {
            static_cast<float*>(parameter)[i] = w;
        } else {
            static_cast<double*>(parameter)[i] = w;
        }
    }
};

// As many tensors as fit into the 4 KiB of kernel arguments.
constexpr int kMaxTensors = 40;
struct AdamwTensors {
    AdamwTensor of[kMaxTensors];
    int count = 0;
};
static_assert(sizeof(AdamwTensors) <= 4096);

__global__ void adamw_kernel(const __grid_constant__ AdamwTensors tensors) {
    // Binary search for the last tensor whose first block is not after this block.
    int low = 0, high = tensors.count;
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        if (tensors.of[middle].first_block <= static_cast<int64_t>(blockIdx.x)) {
            low = middle;
        } else {
            high = middle;
        }
    }
    const AdamwTensor& tensor = tensors.of[low];
    const int64_t begin = (blockIdx.x - tensor.first_block) * kAdamwElements;
    const int64_t end =
        begin + kAdamwElements < tensor.count ? begin + kAdamwElements : tensor.count;
    for (int64_t i = begin + threadIdx.x; i < end; i += kAdamwThreads) tensor.update(i);
}

}  // namespace

void adamw(const AdamwArgs& args) {
    AdamwTensors tensors = {};
    int64_t blocks = 0;
    for (size_t i = 0; i < args.tensors.size(); ++i) {
        const AdamwUpdate& x = args.tensors[i];
        const int64_t count = x.master.numel();
        if (count > 0) {
            const bool own = x.parameter.raw() == x.master.raw();
            tensors.of[tensors.count++] = {.gradient = x.gradient.data<float>(),
                                           .master = x.master.data<float>(),
                                           .first = x.first_moment.data<float>(),
                                           .second = x.second_moment.data<float>(),
                                           .parameter = own ? nullptr : x.parameter.raw(),
                                           .count = count,
                                           .first_block = blocks,
                                           .dtype = x.parameter.dtype(),
                                           .factors = adamw_factors(x)};
            blocks += ceil_div(count, kAdamwElements);
        }
        if (tensors.count < kMaxTensors && i + 1 < args.tensors.size()) continue;
        launch(device_of(x.master), adamw_kernel, {blocks}, {kAdamwThreads}, 0, tensors);
        tensors.count = 0;
        blocks = 0;
    }
}

}  // namespace vila::cuda
