// matmul: from tensors to a GemmProblem, and to the product that computes it.

#include "cuda/gemm.h"
#include "cuda/gemm_cublas.h"
#include "cuda/kernels.h"
#include "cuda/launch.h"

namespace vila::cuda {

void gemm(CudaDevice& device, const GemmProblem& problem) {
    CublasGemm* const cublas = device.cublas();
    if (cublas == nullptr || !cublas->multiply(device, problem)) gemm_tiled(device, problem);
}

GemmProblem gemm_problem(const MatmulArgs& args) {
    const Tensor &a = args.a, &b = args.b, &c = args.c;
    const auto view = [](const Tensor& x, bool transpose) {
        const MatrixView plain = {x.raw(), x.strides()[-2], 1, x.dtype()};
        return transpose ? plain.transposed() : plain;
    };
    GemmProblem problem = {.m = c.size(-2),
                           .n = c.size(-1),
                           .k = a.size(args.transpose_a ? -2 : -1),
                           .a = view(a, args.transpose_a),
                           .b = view(b, args.transpose_b),
                           .c = c.raw(),
                           .c_row = c.strides()[-2],
                           .c_dtype = c.dtype(),
                           .accumulate = args.accumulate,
                           .alpha = args.alpha,
                           .bias = args.bias.defined() ? args.bias.raw() : nullptr,
                           .bias_dtype = a.dtype()};
    for (int axis = c.rank() - 3; axis >= 0; --axis) {
        const int at = problem.batch.rank++;
        problem.batch.extent[at] = c.size(axis);
        problem.batch.a[at] = a.strides()[axis];
        problem.batch.b[at] = b.strides()[axis];
        problem.batch.c[at] = c.strides()[axis];
    }
    return problem;
}

void matmul(const MatmulArgs& args) {
    if (args.c.numel() > 0) gemm(device_of(args.c), gemm_problem(args));
}

}  // namespace vila::cuda
