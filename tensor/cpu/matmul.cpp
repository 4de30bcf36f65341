// matmul: c = alpha * op(a) op(b) [+ c] [+ bias], batched, then [+ residual] and [gelu]. First the
// reference: plain loops, sums in f32 (f64 for f64) in order of k. It is used for f64 and for k =
// 0. Below it are the calls of the blocked product (gemm.cpp) and of the one for few rows
// (gemv.cpp).

#include "tensor/cpu/gemm/gemm.h"
#include "tensor/cpu/kernels.h"
#include "tensor/cpu/parallel.h"
#include "tensor/dispatch.h"

namespace vila::cpu_kernels {

namespace {

// The offset of matrix number `batch` in `tensor`, in elements.
int64_t matrix_offset(const Tensor& tensor, int64_t batch) {
    int64_t offset = 0;
    for (int axis = tensor.rank() - 3; axis >= 0; --axis) {
        offset += batch % tensor.size(axis) * tensor.strides()[axis];
        batch /= tensor.size(axis);
    }
    return offset;
}

// Computes row `row` of c, counted through all batches.
template <typename T, typename Out>
void matmul_row(const MatmulArgs& args, int64_t row) {
    using Compute = compute_t<T>;
    const int64_t m = args.c.size(-2), n = args.c.size(-1);
    const int64_t k = args.a.size(args.transpose_a ? -2 : -1);
    const int64_t batch = row / m, i = row % m;
    const int64_t lda = args.a.strides()[-2], ldb = args.b.strides()[-2];
    const int64_t a_stride = args.transpose_a ? lda : 1, b_stride = args.transpose_b ? 1 : ldb;
    const T* a = args.a.data<T>();
    const T* b = args.b.data<T>();
    const int64_t a_i = matrix_offset(args.a, batch) + i * (args.transpose_a ? 1 : lda);
    const int64_t b_0 = matrix_offset(args.b, batch);
    Out* c_i = args.c.data<Out>() + matrix_offset(args.c, batch) + i * args.c.strides()[-2];
    for (int64_t j = 0; j < n; ++j) {
        const int64_t b_j = b_0 + j * (args.transpose_b ? ldb : 1);
        Compute sum{};
        for (int64_t p = 0; p < k; ++p)
            sum += static_cast<Compute>(a[a_i + p * a_stride]) *
                   static_cast<Compute>(b[b_j + p * b_stride]);
        sum *= static_cast<Compute>(args.alpha);
        if (args.accumulate) sum += static_cast<Compute>(c_i[j]);
        if (args.bias.defined()) sum += static_cast<Compute>(args.bias.data<T>()[j]);
        c_i[j] = static_cast<Out>(sum);
    }
}

void matmul_reference(const MatmulArgs& args) {
    const int64_t n = args.c.size(-1), k = args.a.size(args.transpose_a ? -2 : -1);
    for_float("matmul", args.a.dtype(), [&](auto element) {
        using T = decltype(element);
        const auto run = [&](auto out) {
            parallel_for(cpu(args.c), args.c.numel() / n, n * (k + 1),
                         [&](int64_t begin, int64_t end) {
                             for (int64_t row = begin; row < end; ++row)
                                 matmul_row<T, decltype(out)>(args, row);
                         });
        };
        if (args.c.dtype() == args.a.dtype()) {
            run(T{});
        } else {
            VILA_CHECK_EQ(args.c.dtype(), DType::F32, "[matmul] dtype of c");
            run(float{});
        }
    });
}

// The problem of matrix number `batch` of the call.
GemmProblem matrix_problem(const MatmulArgs& args, int64_t batch) {
    const auto address = [&](const Tensor& x) {
        return static_cast<char*>(x.raw()) + matrix_offset(x, batch) * dtype_size(x.dtype());
    };
    const auto view = [&](const Tensor& x, bool transpose) {
        const int64_t row = x.strides()[-2];
        return MatrixView{address(x), transpose ? 1 : row, transpose ? row : 1, x.dtype()};
    };
    return {.m = args.c.size(-2),
            .n = args.c.size(-1),
            .k = args.a.size(args.transpose_a ? -2 : -1),
            .a = view(args.a, args.transpose_a),
            .b = view(args.b, args.transpose_b),
            .c = address(args.c),
            .c_row_stride = args.c.strides()[-2],
            .c_dtype = args.c.dtype(),
            .accumulate = args.accumulate,
            .alpha = args.alpha,
            .bias = args.bias.defined() ? args.bias.raw() : nullptr,
            .bias_dtype = args.a.dtype()};
}

void product(const MatmulArgs& args) {
    const int64_t batches = args.c.numel() / (args.c.size(-1) * args.c.size(-2));
    const int64_t k = args.a.size(args.transpose_a ? -2 : -1);
    const DType input = args.a.dtype(), output = args.c.dtype();
    const bool blocked =
        (input == DType::F32 || input == DType::BF16) && (output == DType::F32 || output == input);
    if (!blocked || k == 0) return matmul_reference(args);
    gemm(cpu(args.c), batches, [&](int64_t batch) { return matrix_problem(args, batch); });
}

}  // namespace

void matmul(const MatmulArgs& args) {
    if (args.c.numel() == 0) return;
    MatmulArgs plain = args;
    if (args.pre_activation.defined()) plain.c = args.pre_activation;
    product(plain);
    if (args.residual.defined()) add({.a = plain.c, .b = args.residual, .y = plain.c});
    if (args.gelu) gelu_forward({.x = plain.c, .kind = *args.gelu, .y = args.c});
}

}  // namespace vila::cpu_kernels
