// matmul: describes tensors as a BatchedGemm, and chooses the implementation that computes it.

#include "cuda/gemm.h"
#include "cuda/gemm_cublas.h"
#include "cuda/kernels.h"
#include "cuda/launch.h"

namespace vila::cuda {

void gemm(CudaDevice& device, const BatchedGemm& problem) {
    CublasGemm* const cublas = device.cublas();
    if (cublas == nullptr || !cublas->multiply(device, problem)) gemm_tiled(device, problem);
}

BatchedGemm gemm_problem(const MatmulArgs& args) {
    const Tensor &a = args.a, &b = args.b, &c = args.c;
    const auto view = [](const Tensor& x, bool transpose) {
        const MatrixView plain = {x.raw(), x.strides()[-2], 1, x.dtype()};
        return transpose ? plain.transposed() : plain;
    };
    BatchedGemm problem = {{.m = c.size(-2),
                            .n = c.size(-1),
                            .k = a.size(args.transpose_a ? -2 : -1),
                            .a = view(a, args.transpose_a),
                            .b = view(b, args.transpose_b),
                            .c = c.raw(),
                            .c_row_stride = c.strides()[-2],
                            .c_dtype = c.dtype(),
                            .accumulate = args.accumulate,
                            .alpha = args.alpha,
                            .bias = args.bias.defined() ? args.bias.raw() : nullptr,
                            .bias_dtype = a.dtype()}};
    for (int axis = c.rank() - 3; axis >= 0; --axis) {
        const int at = problem.batch.rank++;
        problem.batch.extent[at] = c.size(axis);
        problem.batch.a[at] = a.strides()[axis];
        problem.batch.b[at] = b.strides()[axis];
        problem.batch.c[at] = c.strides()[axis];
    }
    return problem;
}

namespace {

// Computes the product and its epilogue in one cuBLASLt call. Returns false if that is not
// possible. cuBLASLt has only the tanh form of GELU, at less than f32 precision, so only bf16 uses
// it.
bool matmul_with_epilogue(CudaDevice& device, const MatmulArgs& args) {
    CublasGemm* const cublas = device.cublas();
    const bool supports_gelu =
        !args.gelu || (*args.gelu == GeluKind::Tanh && args.c.dtype() == DType::BF16);
    if (cublas == nullptr || !supports_gelu) return false;
    BatchedGemm problem = gemm_problem(args);
    if (args.residual.defined()) problem.residual = args.residual.raw();
    problem.gelu = args.gelu.has_value();
    if (args.pre_activation.defined()) problem.pre_activation = args.pre_activation.raw();
    return cublas->multiply(device, problem);
}

}  // namespace

void matmul(const MatmulArgs& args) {
    if (args.c.numel() == 0) return;
    CudaDevice& device = device_of(args.c);
    const bool has_epilogue = args.residual.defined() || args.gelu;
    if (has_epilogue && matmul_with_epilogue(device, args)) return;
    MatmulArgs plain = args;
    if (args.pre_activation.defined()) plain.c = args.pre_activation;
    gemm(device, gemm_problem(plain));
    if (args.residual.defined()) add({.a = plain.c, .b = args.residual, .y = plain.c});
    if (args.gelu) gelu_forward({.x = plain.c, .kind = *args.gelu, .y = args.c});
}

}  // namespace vila::cuda
